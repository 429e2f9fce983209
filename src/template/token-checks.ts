import type { Diagnostics } from "./diagnostics.ts";
import type { Token } from "./lexer.ts";
import type { Source } from "./source.ts";

interface Complaint {
  summary: string;
  detail: string;
  /** How often it is said in one file: the first says it all. */
  limit?: number;
  /** Said for every other one: quotes come in pairs. */
  pairs?: boolean;
}

const bitwise = (suggestion: string): Complaint => ({
  summary: "Unsupported operator",
  detail: `Bitwise operators are not supported.${suggestion}`,
  limit: 4,
});

/** Tokens that no syntax uses, in the words of Terraform (spec/04 §7.5 needs the one for ";"). */
const complaints: Partial<Record<Token["type"], Complaint>> = {
  "&": bitwise(' Did you mean boolean AND ("&&")?'),
  "|": bitwise(' Did you mean boolean OR ("||")?'),
  "^": bitwise(""),
  "~": bitwise(' Did you mean boolean NOT ("!")?'),
  "`": {
    summary: "Invalid character",
    detail: 'The "`" character is not valid. To create a multi-line string, use the "heredoc" syntax, like "<<EOT".',
    pairs: true,
  },
  "'": {
    summary: "Invalid character",
    detail: 'Single quotes are not valid. Use double quotes (") to enclose strings.',
    pairs: true,
  },
  ";": {
    summary: "Invalid character",
    detail:
      'The ";" character is not valid. Use newlines to separate arguments and blocks, and commas to separate items in collection values.',
    limit: 1,
  },
  "bad-utf8": {
    summary: "Invalid character encoding",
    detail: "All input files must be UTF-8 encoded. Ensure that UTF-8 encoding is selected in your editor.",
    limit: 1,
  },
  "quoted-newline": {
    summary: "Invalid multi-line string",
    detail:
      'Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n escape to represent a newline character or use the "heredoc" multi-line template syntax.',
  },
  invalid: { summary: "Invalid character", detail: "This character is not used within the language." },
};

const curlyQuotes: Complaint = {
  summary: "Invalid character",
  detail:
    '"Curly quotes" are not valid here. These can sometimes be inadvertently introduced when sharing code via documents or discussion forums. It might help to replace the character with a "straight quote".',
};

/** Complains about characters that mean nothing in HCL, before any parsing does. */
export function checkTokens(source: Source, tokens: readonly Token[], diagnostics: Diagnostics): void {
  const told = new Map<string, number>();
  for (const token of tokens) {
    const curly = token.type === "invalid" && /[\u201c\u201d]/.test(source.text[token.start] ?? "");
    const complaint = curly ? curlyQuotes : complaints[token.type];
    if (!complaint) continue;
    const { summary, detail, limit, pairs } = complaint;
    // The bitwise operators share one count.
    const family = detail.startsWith("Bitwise") ? summary : detail;
    const count = told.get(family) ?? 0;
    if (count < (limit ?? count + 1) && !(pairs && count % 2 === 1)) diagnostics.add(source, token, summary, detail);
    told.set(family, count + 1);
  }
}
