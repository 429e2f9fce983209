import { parseTemplate } from "../src/template/parse.ts";
import { type Figure, median } from "./figure.ts";
