import { broken, type ShowOptions } from "./text.ts";

/** A line with what belongs below it. The text must be harmless already. */
export interface Branch {
  text: string;
  branches?: readonly Branch[];
}

/** Enough to see what is there; a template may have any number of things. */
const maxBranches = 200;
/** Lines that one branch's text may take. */
const maxLines = 4;

const unicodeMarks = { middle: "├─ ", last: "└─ ", line: "│  ", gap: "   ", more: "…" };
const asciiMarks = { middle: "|- ", last: "`- ", line: "|  ", gap: "   ", more: "..." };

/** Draws each branch as a heading with a tree below it; no line is wider than `columns`. */
export function drawn(roots: readonly Branch[], options: ShowOptions): string[] {
  const lines: string[] = [];
  for (const root of roots) drawBranch(root, "", "", options, lines);
  return lines;
}

/** Trees here are as deep as the messages they show: five levels. */
function drawBranch(branch: Branch, first: string, below: string, options: ShowOptions, lines: string[]): void {
  const marks = options.unicode ? unicodeMarks : asciiMarks;
  const branches = shown(branch.branches ?? [], marks.more);
  const hang = `${below}${branches.length > 0 ? marks.line : ""}    `;
  const room = Math.max(20, options.columns - hang.length);
  const texts = broken(branch.text, room, options).slice(0, maxLines);
  for (const [index, text] of texts.entries()) {
    lines.push((index === 0 ? first : hang) + text);
  }
  for (const [index, child] of branches.entries()) {
    const isLast = index === branches.length - 1;
    drawBranch(
      child,
      below + (isLast ? marks.last : marks.middle),
      below + (isLast ? marks.gap : marks.line),
      options,
      lines,
    );
  }
}

function shown(branches: readonly Branch[], more: string): readonly Branch[] {
  if (branches.length <= maxBranches) return branches;
  const rest = branches.length - maxBranches;
  return [...branches.slice(0, maxBranches), { text: `${more} and ${rest} more` }];
}
