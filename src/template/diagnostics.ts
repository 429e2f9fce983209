import { JobError } from "../kit/errors.ts";
import type { Position, Source, Span } from "./source.ts";

/** One thing wrong with a template, in the words of Terraform. There are no warnings: nothing that we read has any. */
export interface Diagnostic {
  readonly summary: string;
  readonly detail: string;
  readonly file: string;
  readonly start: Position;
  readonly end: Position;
}

/** More than a person reads; a file of nothing but mistakes would otherwise make an error message larger than itself. */
const maxKept = 100;

/** Gathers what is wrong. All are counted, the first `maxKept` are kept. */
export class Diagnostics {
  readonly kept: Diagnostic[] = [];
  count = 0;

  /** `detail` may be a function where making the text costs time that nobody will read it for. */
  add(source: Source, span: Span, summary: string, detail: string | (() => string)): void {
    this.count++;
    if (this.kept.length >= maxKept) return;
    const start = source.position(span.start);
    const end = source.position(span.end);
    const text = typeof detail === "string" ? detail : detail();
    this.kept.push({ summary, detail: text, file: source.name, start, end });
  }
}

/** The steps of Parse, each with the words that its errors begin with (spec/04 §7). */
const prefixes = {
  load_module: "load module: ",
  workspace_tags: "can't load workspace tags: ",
  template_variables: "can't load template variables: ",
} as const;

/** A template that could not be read. Its diagnostics, if any, keep file, line and column. */
export class TemplateError extends JobError {
  constructor(
    readonly category: keyof typeof prefixes,
    reason: string,
    readonly diagnostics: readonly Diagnostic[] = [],
  ) {
    super(prefixes[category] + reason);
  }
}

/** The text of spec/04 §7.5: one blank in front of a single diagnostic, two line breaks in front of several. */
export function diagnosticsText(diagnostics: readonly Diagnostic[]): string {
  const text = diagnostics.map(diagnosticText).join("\n\n").trim();
  return (diagnostics.length === 1 ? " " : "\n\n") + text;
}

function diagnosticText({ summary, detail, file, start }: Diagnostic): string {
  const head = `ERROR: ${summary} (${file}:${start.line})`;
  return detail === "" ? head : `${head}\n${wrap(detail, 78).replaceAll(/^/gm, "> ")}`;
}

/** Breaks at blanks so that no line is longer than `width`; a longer word stays whole, line breaks stay. */
export function wrap(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => {
      if (line.length <= width) return line;
      const lines: string[] = [];
      let current: string | undefined;
      for (const word of line.split(" ")) {
        if (current === undefined) current = word;
        else if (current.length + 1 + word.length <= width) current += ` ${word}`;
        else {
          lines.push(current);
          current = word;
        }
      }
      return [...lines, current ?? ""].join("\n");
    })
    .join("\n");
}
