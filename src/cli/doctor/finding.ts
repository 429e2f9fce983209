/** The two halves of what is looked at. */
export type Group = "Control plane" | "This machine";

/** What a check found. A warning or failure carries a code that is a heading in docs/troubleshooting.md, and a cure. */
export type Finding =
  | { status: "ok"; text: string }
  | { status: "warn" | "fail"; text: string; code: string; cure: string; reason?: string }
  | { status: "skip"; text: string };

/** One line of the report. */
export type Check = Finding & { group: Group; name: string };

export const ok = (text: string): Finding => ({ status: "ok", text });
export const skip = (text: string): Finding => ({ status: "skip", text });
export const warn = (text: string, code: string, cure: string): Finding => ({ status: "warn", text, code, cure });
export const fail = (text: string, code: string, cure: string, reason?: string): Finding => ({
  status: "fail",
  text,
  code,
  cure,
  ...(reason ? { reason } : {}),
});
