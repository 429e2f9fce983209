import { RefusedError } from "../kit/errors.ts";
import type { Tags } from "./rows.ts";

/**
 * Folds the source texts of `coder_workspace_tags` into values: quoted strings without interpolation, numbers and bools.
 * Anything else would need the language's evaluator and throws a RefusedError that names the tag (spec/04 §7.4, §7.4.1).
 */
export function foldWorkspaceTags(sources: Tags): Tags {
  const folded: Record<string, string> = {};
  for (const [key, source] of Object.entries(sources)) {
    if (key.startsWith("(") || /[$%]\{/.test(key)) {
      throw new RefusedError(
        `evaluate workspace tag "${key}": the key is an expression: only constant keys are supported`,
      );
    }
    const value = foldConstant(source.trim());
    if (value === undefined) {
      throw new RefusedError(
        `evaluate workspace tag "${key}": "${source}" is an expression: only a quoted string, a number or a bool is supported`,
      );
    }
    folded[key] = value;
  }
  return folded;
}

function foldConstant(source: string): string | undefined {
  if (source === "true" || source === "false") return source;
  if (/^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(source)) return String(Number(Number(source).toPrecision(10)));
  const quoted = /^"((?:[^"\\]|\\.)*)"$/s.exec(source)?.[1];
  return quoted === undefined ? undefined : unquote(quoted);
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" };

/** The text of a quoted string, or undefined where it interpolates or holds an unknown escape (spec/04 §8.2). */
function unquote(quoted: string): string | undefined {
  let bad = false;
  const text = quoted.replace(
    /\$\$\{|%%\{|[$%]\{|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.?)/gs,
    (match, short?: string, long?: string, escaped?: string) => {
      if (match === "$${" || match === "%%{") return match.slice(1);
      const code = Number.parseInt(short ?? long ?? "", 16);
      if (code <= 0x10ffff) return String.fromCodePoint(code);
      const char = escaped === undefined ? undefined : escapes[escaped];
      if (char === undefined) bad = true;
      return char ?? "";
    },
  );
  return bad ? undefined : text;
}
