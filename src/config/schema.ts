import type { Schema, Table } from "./setting.ts";

/** JSON Schema of the settings file, for editors. */
export function fileSchema(table: Table): Schema {
  const properties: Record<string, Schema> = {};
  for (const { flag, schema, help, defaultText } of Object.values(table)) {
    if (schema) properties[flag] = { description: defaultText ? `${help} (default ${defaultText})` : help, ...schema };
  }
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Settings of outpost start",
    type: "object",
    additionalProperties: false,
    properties,
  };
}
