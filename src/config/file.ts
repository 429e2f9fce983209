import { readFileSync } from "node:fs";
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, type Scalar } from "yaml";
import { messageOf } from "../kit/errors.ts";
import { didYouMean } from "./nearest-name.ts";
import type { FileValues, Given, Problem } from "./resolve.ts";
import { csvField, type Setting, type Table } from "./setting.ts";

/** A file of all settings is a few kB; more is another file. */
const maxFileBytes = 1_048_576;

export interface SettingsFile {
  values: FileValues;
  problems: Problem[];
}

/** Reads a YAML file whose keys are the flags' names; what is wrong with it is a problem, never an exception. */
export function readSettingsFile(path: string, table: Table): SettingsFile {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > maxFileBytes) throw new Error(`${bytes.length} bytes: at most ${maxFileBytes}`);
    return parseSettingsFile(path, bytes.toString("utf8"), table);
  } catch (error) {
    return { values: new Map(), problems: [{ place: path, text: `can't be read: ${messageOf(error)}` }] };
  }
}

/** The text of such a file; `name` stands before line and column in places. */
export function parseSettingsFile(name: string, text: string, table: Table): SettingsFile {
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems: Problem[] = document.errors.map(({ pos, message }) => ({ place: at(pos[0]), text: message }));
  const values = new Map<string, { at: string; given: readonly Given[] }>();
  const root = document.contents;
  if (problems.length > 0 || root === null) return { values, problems };
  const place = (node: Node) => at(node.range?.[0] ?? 0);
  if (!isMap(root)) {
    return { values, problems: [{ place: place(root), text: "must be settings such as slots: 4" }] };
  }
  const known = new Map(Object.values(table).flatMap((setting) => (setting.schema ? [[setting.flag, setting]] : [])));
  const follow = (node: unknown) => (isAlias(node) ? node.resolve(document) : node);
  for (const { key, value } of root.items as Array<Pair<Node, Node | null>>) {
    const flag = isScalar(key) ? String(key.value) : "";
    const setting = known.get(flag);
    if (!setting) {
      problems.push({ place: place(key), text: `no setting has the name "${flag}"${didYouMean(flag, known.keys())}` });
      continue;
    }
    const whole = follow(value);
    const items = setting.many && isSeq(whole) ? (whole.items as Node[]) : undefined;
    const given: Given[] = [];
    for (const one of items ?? [value]) {
      const there = `${place(one ?? key)} ${flag}`;
      const read = setting.many && !items ? { wrong: listWanted(setting) } : textOf(setting, follow(one));
      if ("wrong" in read) problems.push({ place: there, text: read.wrong, setting: flag });
      else given.push({ ...read, place: there });
    }
    values.set(flag, { at: place(value ?? key), given });
  }
  return { values, problems };
}

const listWanted = ({ argument }: Setting<unknown>) => `must be a list of texts, such as ["${argument.toLowerCase()}"]`;

/** Numbers and switches as they stand; a text that YAML reads as something else wants quotes, lest `no` or 1e3 surprise. */
function textOf(setting: Setting<unknown>, node: unknown): { text: string; shown?: string } | { wrong: string } {
  const value = isScalar(node) ? node.value : undefined;
  if (setting.many)
    return typeof value === "string" ? { text: csvField(value), shown: value } : { wrong: listWanted(setting) };
  if (value === undefined || value === null) return { wrong: "must have one value" };
  const type = setting.schema?.["type"];
  if (type === "boolean" || type === "integer") {
    const fits = typeof value === (type === "integer" ? "number" : type);
    return fits ? { text: String(value) } : { wrong: `must be ${type === "integer" ? "a number" : "true or false"}` };
  }
  if (typeof value === "string") return { text: value };
  // Durations: 0 is off.
  if (value === 0 && setting.schema?.["anyOf"]) return { text: "0" };
  const shown = setting.secret ? "" : `, "${(node as Scalar).source ?? value}"`;
  return { wrong: `must be a text: put it in quotes${shown}` };
}
