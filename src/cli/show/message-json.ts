/** A message's facts as plain JSON: names as in the schema, zero values left out (`0`, `false`, empty text, list or map). */
export function messageJson(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(facts).filter(([name, value]) => !name.startsWith("$") && !isZero(value));
  return Object.fromEntries(entries.map(([name, value]) => [schemaName(name), value]));
}

const schemaName = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function isZero(value: unknown): boolean {
  return !value || (typeof value === "object" && Object.keys(value).length === 0);
}
