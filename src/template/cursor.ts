import type { Diagnostics } from "./diagnostics.ts";
import type { Token, TokenType } from "./lexer.ts";
import type { Source, Span } from "./source.ts";

/** Deep enough for any real template, shallow enough for the stack of parser and evaluator. */
export const maxDepth = 200;

const opposite: Partial<Record<TokenType, TokenType>> = {
  "}": "{",
  "]": "[",
  ")": "(",
  "quote-close": "quote-open",
  "heredoc-close": "heredoc-open",
};
const openers: ReadonlySet<TokenType> = new Set<TokenType>([
  ...(["{", "[", "(", "quote-open", "heredoc-open", "interpolation", "directive"] as const),
]);

/**
 * The parser's place among the tokens, and its way back after a mistake. Once `recovering`, it stays so to the end of the
 * file: a second mistake is then most likely a shadow of the first and is not told, unless it stands on its own.
 */
export class Cursor {
  recovering = false;
  #index = 0;
  #last: Token;
  #depth = 0;
  #tooDeep = false;
  /** Top: whether line breaks are seen. They end arguments, and mean nothing within parentheses and brackets. */
  readonly #lineBreaks: boolean[] = [true];

  constructor(
    readonly source: Source,
    readonly tokens: readonly Token[],
    readonly diagnostics: Diagnostics,
  ) {
    this.#last = tokens[0] as Token;
  }

  /** The token read last. */
  get last(): Token {
    return this.#last;
  }

  text(token: Span): string {
    return this.source.text.slice(token.start, token.end);
  }

  peek(): Token {
    const seesLineBreaks = this.#lineBreaks.at(-1) ?? true;
    while (!seesLineBreaks && this.tokens[this.#index]?.type === "newline") this.#index++;
    return this.tokens[Math.min(this.#index, this.tokens.length - 1)] as Token;
  }

  read(): Token {
    const token = this.peek();
    this.#index++;
    this.#last = token;
    return token;
  }

  /** Looks ahead with line breaks as told, without moving. */
  peekWith(lineBreaks: boolean): Token {
    const index = this.#index;
    const token = this.withLineBreaks(lineBreaks, () => this.peek());
    this.#index = index;
    return token;
  }

  isKeyword(word: string): boolean {
    const token = this.peek();
    return token.type === "identifier" && this.text(token) === word;
  }

  withLineBreaks<T>(seen: boolean, parse: () => T): T {
    this.#lineBreaks.push(seen);
    const result = parse();
    this.#lineBreaks.pop();
    return result;
  }

  /** Goes one level deeper. Too deep: says so, goes to the end of the file, and gives `otherwise`. */
  nest<T>(parse: () => T, otherwise: (span: Span) => T): T {
    if (this.#depth >= maxDepth) {
      const token = this.peek();
      if (!this.#tooDeep) {
        this.error(
          token,
          "Nesting too deep",
          `Expressions and blocks may be nested ${maxDepth} levels deep, not more.`,
        );
      }
      this.#tooDeep = true;
      this.recovering = true;
      this.#index = this.tokens.length - 1;
      return otherwise(token);
    }
    this.#depth++;
    const result = parse();
    this.#depth--;
    return result;
  }

  error(span: Span, summary: string, detail: string | (() => string)): void {
    this.diagnostics.add(this.source, span, summary, detail);
  }

  /** An error that is only told if it is the first mistake of the file. */
  firstError(span: Span, summary: string, detail: string): void {
    if (!this.recovering) this.error(span, summary, detail);
  }

  /** Whether `parse` found a mistake after which the place among the tokens means nothing. */
  failed(errorsBefore: number): boolean {
    return this.recovering && this.diagnostics.count > errorsBefore;
  }

  /** Skips to behind `end`, which closes what is open now; what is opened on the way is closed first. */
  recover(end: TokenType): Token {
    const start = opposite[end];
    this.recovering = true;
    let nested = 0;
    for (;;) {
      const token = this.read();
      if (token.type === "end") return token;
      if (token.type === end) {
        if (nested < 1) return token;
        nested--;
      } else if (end === "sequence-end" ? isSequence(token.type) : token.type === start) nested++;
    }
  }

  /** Skips to the next line that is not inside brackets opened on the way. */
  recoverAfterItem(): void {
    this.recovering = true;
    const open: TokenType[] = [];
    for (;;) {
      const { type } = this.read();
      if (type === "end" || (type === "newline" && open.length === 0)) return;
      if (openers.has(type)) open.push(type);
      else if (type === "sequence-end") close(open, isSequence);
      else if (opposite[type]) close(open, (opener) => opener === opposite[type]);
    }
  }
}

const isSequence = (type: TokenType) => type === "interpolation" || type === "directive";

function close(open: TokenType[], isOpener: (type: TokenType) => boolean): void {
  for (let type = open.pop(); type !== undefined && !isOpener(type); type = open.pop());
}
