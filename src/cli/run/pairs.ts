import { readFile } from "node:fs/promises";
import { parse, YAMLParseError } from "yaml";
import { exitCode, messageOf, OperatorError } from "../../kit/errors.ts";

/** Values by name from a file (YAML, of which JSON is a part) and from flags, which win. Throws OperatorError with the place. */
export async function readPairs(
  flag: string,
  pairs: readonly string[],
  file: string | undefined,
): Promise<Record<string, string>> {
  const values: Record<string, string> = file ? await readValues(`${flag}-file`, file) : {};
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    if (equals < 1) throw usage(`${flag} "${pair}": must be NAME=VALUE`);
    values[pair.slice(0, equals)] = pair.slice(equals + 1);
  }
  return values;
}

async function readValues(flag: string, file: string): Promise<Record<string, string>> {
  const source = await readFile(file, "utf8").catch((error: unknown) => {
    throw usage(`${flag} "${file}": ${messageOf(error)}`);
  });
  let document: unknown;
  try {
    document = parse(source);
  } catch (error) {
    const line = error instanceof YAMLParseError ? `, line ${error.linePos?.[0].line}` : "";
    throw usage(`${flag} "${file}"${line}: ${messageOf(error).split("\n")[0]}`);
  }
  if (document === null || document === undefined) return {};
  if (typeof document !== "object" || Array.isArray(document))
    throw usage(`${flag} "${file}": must be a map of names and values`);
  return Object.fromEntries(
    Object.entries(document).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  );
}

const usage = (message: string) => new OperatorError(message, { code: "OUT-INPUTS", exit: exitCode.usage });
