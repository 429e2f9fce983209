import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../../shared", import.meta.url));

/** Absolute path of the folder with recorded cases that lies beside the checkout, or undefined: such tests skip, visibly. */
export const sharedFolder: string | undefined = existsSync(`${folder}/cases`) ? folder : undefined;
