import { cleanText } from "../kit/text.ts";

/** What an error answer says (spec/01 §1.6). */
export interface ErrorBody {
  /** Never matched on: for people only. */
  message: string;
  detail?: string;
  validations: readonly { field: string; detail: string }[];
}

/** Characters of a body without JSON that a person gets to see: a proxy's HTML page says little after its first lines. */
const shownChars = 200;

/** Reads an error body of any kind: JSON, text followed by JSON (spec/01 §1.5 note 2), HTML, cut short, empty. Never throws. */
export function parseErrorBody(body: Uint8Array): ErrorBody {
  const text = cleanText(body).trim();
  const json = findObject(text);
  if (!json) return { message: shorten(text), validations: [] };
  const validations = Array.isArray(json["validations"]) ? json["validations"] : [];
  return {
    message: shorten(textOf(json["message"])),
    ...(json["detail"] ? { detail: shorten(textOf(json["detail"])) } : {}),
    validations: validations
      .filter(isObject)
      .map((each) => ({ field: textOf(each["field"]), detail: textOf(each["detail"]) })),
  };
}

/** One line for people: message, detail and complaints about fields. */
export function describeBody({ message, detail, validations }: ErrorBody): string {
  return [message, detail, ...validations.map((each) => `${each.field}: ${each.detail}`)].filter(Boolean).join(": ");
}

function findObject(text: string): Record<string, unknown> | undefined {
  for (const at of [text.indexOf("{"), text.indexOf("\n{")]) {
    if (at < 0) continue;
    try {
      const value: unknown = JSON.parse(text.slice(at));
      if (isObject(value)) return value;
    } catch {
      // Not JSON, or cut short: the text itself is shown.
    }
  }
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);
}

function shorten(text: string): string {
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, " ");
  return line.length <= shownChars ? line : `${line.slice(0, shownChars)}…`;
}
