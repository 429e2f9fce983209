import type { Diagnostics } from "./diagnostics.ts";
import type { Source, Span } from "./source.ts";
import type { Attribute, Block, Body, Expression } from "./syntax.ts";

/** What somebody wants to know of a body. All else in it is passed over. */
export interface Schema {
  attributes: readonly string[];
  /** Block types with the names of their labels. */
  blocks: Readonly<Record<string, readonly string[]>>;
}

export interface Content {
  attributes: Map<string, Attribute>;
  blocks: Block[];
}

const forBodies = "to define arguments and child blocks";

/** A body's wanted content, whichever syntax it is written in. The number of labels is checked (spec/04 §7.1). */
export class ContentReader {
  constructor(
    readonly source: Source,
    readonly diagnostics: Diagnostics,
  ) {}

  read(body: Body, schema: Schema): Content {
    return body.kind === "native" ? this.#native(body, schema) : this.#json(body.value, schema);
  }

  /** All attributes of a body that may hold nothing else. */
  justAttributes(body: Body): Attribute[] {
    // In JSON, a member of that name is a comment.
    if (body.kind === "json") return this.#members(body.value, forBodies).filter(({ name }) => name !== "//");
    const [block] = body.blocks;
    if (block) this.#error(block.typeSpan, `Unexpected "${block.type}" block`, "Blocks are not allowed here.");
    return [...body.attributes.values()];
  }

  #error(span: Span, summary: string, detail: string | (() => string)): void {
    this.diagnostics.add(this.source, span, summary, detail);
  }

  #native(body: Body & { kind: "native" }, schema: Schema): Content {
    const attributes = new Map<string, Attribute>();
    for (const name of schema.attributes) {
      const attribute = body.attributes.get(name);
      if (attribute) attributes.set(name, attribute);
    }
    const blocks = body.blocks.filter((block) => {
      const names = labelNames(schema, block.type);
      return names !== undefined && this.#labelsFit(block, names);
    });
    return { attributes, blocks };
  }

  #labelsFit({ type, labels, labelSpans, openSpan }: Block, names: readonly string[]): boolean {
    const missing = names[labels.length];
    const extra = labelSpans[names.length];
    const list = names.join(", ");
    if (extra) {
      const detail =
        names.length === 0
          ? `No labels are expected for ${type} blocks.`
          : `Only ${names.length} labels (${list}) are expected for ${type} blocks.`;
      this.#error(extra, `Extraneous label for ${type}`, detail);
    }
    if (missing) {
      const detail = `All ${type} blocks must have ${names.length} labels (${list}).`;
      this.#error(openSpan, `Missing ${missing} for ${type}`, detail);
    }
    return !extra && !missing;
  }

  #json(value: Expression, schema: Schema): Content {
    const content: Content = { attributes: new Map(), blocks: [] };
    for (const member of this.#members(value, forBodies)) {
      const names = labelNames(schema, member.name);
      if (names) this.#jsonBlocks(member.value, member, names, [], [], content.blocks);
      else if (schema.attributes.includes(member.name)) {
        const existing = content.attributes.get(member.name);
        if (existing) {
          const detail = () =>
            `The argument "${member.name}" was already set at ${this.source.rangeText(existing.nameSpan)}.`;
          this.#error(member.nameSpan, "Duplicate argument", detail);
        } else content.attributes.set(member.name, member);
      }
    }
    return content;
  }

  /** Labels are names of members, one level each; what is inside is one block, or an array of blocks. */
  #jsonBlocks(
    value: Expression,
    type: Attribute,
    labelsLeft: readonly string[],
    labels: string[],
    labelSpans: Span[],
    blocks: Block[],
  ): void {
    const [label, ...rest] = labelsLeft;
    if (label !== undefined) {
      const members = this.#members(value, `to specify ${label} labels for this block`);
      if (members.length === 0) {
        const detail = `At least one object property is required, whose name represents the ${type.name} block's ${label}.`;
        this.#error(value.span, "Missing block label", detail);
      }
      for (const { name, nameSpan, value: inner } of members) {
        this.#jsonBlocks(inner, type, rest, [...labels, name], [...labelSpans, nameSpan], blocks);
      }
      return;
    }
    if (value.kind === "null") return;
    if (value.kind !== "object" && value.kind !== "tuple") {
      const detail = `Either a JSON object or a JSON array is required, representing the contents of one or more "${type.name}" blocks.`;
      this.#error(value.span, "Incorrect JSON value type", detail);
      return;
    }
    const openSpan = { start: value.span.start, end: value.span.start + 1 };
    for (const body of value.kind === "tuple" ? value.items : [value]) {
      blocks.push({
        type: type.name,
        typeSpan: type.nameSpan,
        labels,
        labelSpans,
        at: openSpan.start,
        openSpan,
        body: { kind: "json", value: body },
      });
    }
  }

  /** The members of an object, or of all objects in an array, in order; null has none. */
  #members(value: Expression, purpose: string): Attribute[] {
    const wrong = (span: Span, what: string) =>
      this.#error(span, "Incorrect JSON value type", `${what} is required here, ${purpose}.`);
    const members: Attribute[] = [];
    for (const object of value.kind === "tuple" ? value.items : [value]) {
      if (object.kind === "object") {
        for (const { key, value: inner } of object.items) {
          if (key.kind === "string") members.push({ name: key.value, nameSpan: key.span, value: inner });
        }
      } else if (value.kind === "tuple") wrong(object.span, "A JSON object");
      else if (object.kind !== "null") wrong(object.span, "Either a JSON object or JSON array of objects");
    }
    return members;
  }
}

function labelNames(schema: Schema, type: string): readonly string[] | undefined {
  return Object.hasOwn(schema.blocks, type) ? schema.blocks[type] : undefined;
}
