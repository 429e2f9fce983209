import { exitCode, JobError, OperatorError } from "../../kit/errors.ts";
import type { TemplateFile } from "../../template/files.ts";
import { findInputs, type Input } from "../../template/inputs.ts";

interface Given {
  parameters: Readonly<Record<string, string>>;
  variables: Readonly<Record<string, string>>;
}

/**
 * Throws an OperatorError that names every input of the template which has no value and no default, with its type, its
 * options and its place, and a command to paste. What only the engine can know (modules, computed values) it finds later.
 */
export function checkInputs(shownFolder: string, files: readonly TemplateFile[], given: Given): void {
  const missing = inputsOf(files).filter(({ kind, name, required }) => {
    const values = kind === "variable" ? given.variables : given.parameters;
    return required && !Object.hasOwn(values, name);
  });
  if (missing.length === 0) return;
  const widest = Math.max(...missing.map(({ name }) => name.length));
  const lines = missing.map(({ kind, name, type, options, file, line }) => {
    const what = options.length > 0 ? `${type}, one of ${options.join("|")}` : type;
    return `  ${kind.padEnd(9)}  ${name.padEnd(widest)}  ${what.padEnd(28)} ${file}:${line}`;
  });
  const flags = missing.map(({ kind, name, options }) => {
    return `--${kind === "variable" ? "var" : "param"} ${name}=${options[0] ?? "VALUE"}`;
  });
  const count = missing.length === 1 ? "1 input has" : `${missing.length} inputs have`;
  throw new OperatorError(`${count} no value and no default\n${lines.join("\n")}`, {
    code: "OUT-INPUTS",
    cure: `outpost run ${shownFolder} ${flags.join(" ")}`,
    exit: exitCode.usage,
  });
}

function inputsOf(files: readonly TemplateFile[]): Input[] {
  try {
    return findInputs(files);
  } catch (error) {
    // The import says what is wrong with the source, with the engine's own words.
    if (error instanceof JobError) return [];
    throw error;
  }
}
