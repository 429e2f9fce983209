/** How things are shown: at most `columns` wide, with marks beyond ASCII only if `unicode`. */
export interface ShowOptions {
  columns: number;
  unicode: boolean;
}

/** No line shows more of one text; what a template holds may be megabytes. */
const maxUnits = 2_000;

/** Escape sequences: CSI, strings such as OSC (also those that never end), and the short ones. */
const sequences =
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-~]?/g;
/** What else moves the cursor, hides, or turns the direction of what follows. */
const controls = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+/g;

/** Text that a template controls, harmless on a terminal: one line, no escape sequences, no control characters. */
export function harmless(text: string, { unicode }: Pick<ShowOptions, "unicode">): string {
  const start = text.length > maxUnits ? `${text.slice(0, maxUnits)}...` : text;
  const clean = start.toWellFormed().replaceAll(sequences, "").replaceAll(controls, " ").trim();
  return unicode ? clean : clean.replaceAll(/[^\x20-\x7e]+/gu, "?");
}

const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;
const zero = /^(?:\p{Mn}|\p{Me}|\u200c|\u200d)$/u;

/** Columns that a harmless text takes. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += zero.test(char) ? 0 : wide.test(char) ? 2 : 1;
  return width;
}

/** The text, or as much of it as fits with a mark that something is missing. */
export function clipped(text: string, width: number, { unicode }: Pick<ShowOptions, "unicode">): string {
  if (widthOf(text) <= width) return text;
  const mark = unicode ? "…" : "...";
  let kept = "";
  let used = widthOf(mark);
  for (const char of text) {
    used += widthOf(char);
    if (used > width) break;
    kept += char;
  }
  return kept.trimEnd() + mark;
}

/** Fills up with blanks to a width in columns. */
export const padded = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - widthOf(text)));

/** Breaks at blanks into lines of at most `width` columns; a longer word is clipped. */
export function broken(text: string, width: number, options: ShowOptions): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/(?<=\S) (?=\S)/)) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (line === "" || widthOf(joined) <= width) line = joined;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line].map((one) => clipped(one, width, options));
}
