import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { GraphDoneSchema } from "../gen/session_pb.ts";
import type { GraphFacts } from "./convert.ts";

/** Ids that are new with every build. */
const hidden = new Map([
  ["provisioner.Agent", new Set(["id"])],
  ["provisioner.App", new Set(["id"])],
  ["provisioner.Devcontainer", new Set(["id", "subagent_id"])],
]);

/**
 * The facts as plain JSON for people and for comparisons: the schema's field names, enums by name, fields that are zero left
 * out; messages and optional fields that are set stay, though empty. Of an agent's auth only the kind is shown
 * (`auth_kind`), and ids of agents, apps and devcontainers are left out.
 */
export function printGraph(facts: GraphFacts): unknown {
  return Object.fromEntries(
    GraphDoneSchema.fields
      .filter((field) => field.name !== "timings")
      .map((field) => {
        const value = facts[field.localName as keyof GraphFacts];
        return [field.name, field.fieldKind === "list" ? printList(field, value) : value];
      }),
  );
}

/** The schema is a few levels deep and has no message that holds itself, so this recursion ends. */
function printMessage(schema: DescMessage, message: Message): unknown {
  const members = message as unknown as Record<string, unknown>;
  const printed: Array<[string, unknown]> = [];
  for (const field of schema.fields) {
    if (hidden.get(schema.typeName)?.has(field.name) || field.oneof) continue;
    const value = Object.hasOwn(members, field.localName) ? members[field.localName] : undefined;
    const text = value === undefined ? undefined : printField(field, value);
    if (text !== undefined) printed.push([field.name, text]);
  }
  for (const oneof of schema.oneofs) {
    const set = (members[oneof.localName] as { case?: string }).case;
    const field = oneof.fields.find(({ localName }) => localName === set);
    if (field) printed.push([`${oneof.name}_kind`, field.name]);
  }
  return Object.fromEntries(printed);
}

/** A field's value, or undefined where it is zero and its presence says nothing. */
function printField(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case "message":
      return printMessage(field.message, value as Message);
    case "list": {
      const list = printList(field, value);
      return list.length > 0 ? list : undefined;
    }
    case "map": {
      const entries = Object.entries(value as object);
      return entries.length > 0 ? Object.fromEntries(entries) : undefined;
    }
    case "enum":
      return value === 0 ? undefined : (field.enum.value[value as number]?.name ?? value);
    case "scalar":
      if (isOptional(field)) return value;
      return value === "" || value === 0 || value === false || value === 0n ? undefined : plain(field.scalar, value);
  }
}

function printList(field: DescField & { fieldKind: "list" }, value: unknown): unknown[] {
  const list = value as unknown[];
  return field.listKind === "message" ? list.map((item) => printMessage(field.message, item as Message)) : list;
}

/** An int64 as a number, or as text where a double cannot hold it. */
function plain(type: ScalarType, value: unknown): unknown {
  if (type !== ScalarType.INT64) return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function isOptional(field: DescField): boolean {
  return field.proto.proto3Optional;
}
