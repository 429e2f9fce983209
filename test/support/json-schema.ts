type Schema = Readonly<Record<string, unknown>>;

/** Whether a value is what a JSON Schema says: of the vocabulary, what our schemas use; any other word throws. */
export function valid(schema: Schema, value: unknown): boolean {
  return Object.entries(schema).every(([word, what]) => {
    const rule = rules[word];
    if (!rule) throw new Error(`JSON Schema word "${word}": not known here`);
    return rule(what, value, schema);
  });
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const types: Record<string, (value: unknown) => boolean> = {
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  integer: Number.isInteger,
  array: Array.isArray,
  object: isObject,
};

const rules: Record<string, (what: unknown, value: unknown, schema: Schema) => boolean> = {
  $schema: () => true,
  title: () => true,
  description: () => true,
  type: (what, value) => types[String(what)]?.(value) ?? false,
  const: (what, value) => what === value,
  enum: (what, value) => (what as unknown[]).includes(value),
  anyOf: (what, value) => (what as Schema[]).some((schema) => valid(schema, value)),
  pattern: (what, value) => typeof value !== "string" || new RegExp(String(what)).test(value),
  minimum: (what, value) => typeof value !== "number" || value >= Number(what),
  maximum: (what, value) => typeof value !== "number" || value <= Number(what),
  items: (what, value) => !Array.isArray(value) || value.every((item) => valid(what as Schema, item)),
  properties: (what, value) =>
    !isObject(value) ||
    Object.entries(what as Record<string, Schema>).every(
      ([name, schema]) => !(name in value) || valid(schema, value[name]),
    ),
  additionalProperties: (what, value, schema) =>
    what !== false || !isObject(value) || Object.keys(value).every((name) => name in (schema["properties"] as object)),
};
