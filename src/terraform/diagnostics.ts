import { integer, list, type Members, object, text } from "./members.ts";

/** A diagnostic of the engine's JSON output, as far as it is shown (spec/03 §5.4). */
export interface Diagnostic {
  severity: string;
  detail: string;
  range: { filename: string; line: number } | undefined;
  snippet: { context: string; code: string; startLine: number; values: Value[] } | undefined;
}

interface Value {
  traversal: string;
  statement: string;
}

/** Throws TypeError for a member of the wrong type. */
export function parseDiagnostic(members: Members): Diagnostic {
  const range = members["range"] == null ? undefined : object(members["range"]);
  const snippet = members["snippet"] == null ? undefined : object(members["snippet"]);
  return {
    severity: text(members["severity"]),
    detail: text(members["detail"]),
    range: range && { filename: text(range["filename"]), line: integer(object(range["start"])["line"]) },
    snippet: snippet && {
      context: text(snippet["context"]),
      code: text(snippet["code"]),
      startLine: integer(snippet["start_line"]),
      values: list(snippet["values"]).map((value) => {
        const members = object(value);
        return { traversal: text(members["traversal"]), statement: text(members["statement"]) };
      }),
    },
  };
}

/** The diagnostic as log lines, without its summary: that is in the message already (spec/03 §5.4). */
export function diagnosticLines({ range, snippet, detail }: Diagnostic): string[] {
  const lines: string[] = [];
  if (range) {
    const context = snippet?.context ? `, in ${snippet.context}` : "";
    lines.push(`on ${range.filename} line ${range.line}${context}:`);
    if (snippet) {
      for (const [index, code] of snippet.code.split("\n").entries()) {
        lines.push(`  ${snippet.startLine + index}: ${code}`);
      }
      if (snippet.values.length > 0) {
        lines.push(`    ├${"─".repeat(16)}`);
        const values = snippet.values.toSorted((a, b) => (a.traversal < b.traversal ? -1 : 1));
        for (const { traversal, statement } of values) lines.push(`    │ ${traversal} ${statement}`);
      }
    } else {
      lines.push("  (source code not available)");
    }
    lines.push("");
  }
  return [...lines, ...detail.split("\n")];
}
