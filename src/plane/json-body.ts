import type { Request } from "./http.ts";
import { HttpRefusal } from "./refusal.ts";

/** A JSON object as the body; an empty body is an empty object. Throws HttpRefusal 400. */
export async function readJson(request: Request, maxBytes: number): Promise<Record<string, unknown>> {
  const bytes = await request.body(maxBytes);
  if (bytes.length === 0) return {};
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below: what is wrong with it matters less than what it should be.
  }
  throw new HttpRefusal(400, "The body must be a JSON object.");
}

/** A text member; empty when absent. Throws HttpRefusal 400 for another type. */
export function textOf(body: Record<string, unknown>, name: string): string {
  const value = body[name] ?? "";
  if (typeof value !== "string") throw new HttpRefusal(400, `"${name}" must be a string.`);
  return value;
}

/** A member that is an object of texts; empty when absent. Throws HttpRefusal 400 for anything else. */
export function textsOf(body: Record<string, unknown>, name: string): Record<string, string> {
  const value = body[name] ?? {};
  if (typeof value !== "object" || value === null || Object.values(value).some((text) => typeof text !== "string")) {
    throw new HttpRefusal(400, `"${name}" must be an object of strings.`);
  }
  return value as Record<string, string>;
}
