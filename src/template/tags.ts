import { ContentReader } from "./content.ts";
import { Diagnostics, TemplateError } from "./diagnostics.ts";
import type { DataSource, Module } from "./module.ts";
import type { ObjectItem } from "./syntax.ts";

const tagsType = "coder_workspace_tags";

/**
 * The workspace tags as source text: nothing is evaluated, values keep their quotes (spec/04 §7.4). Blocks in JSON are
 * passed over; of blocks of one name, those of the last file count, each of them.
 */
export function workspaceTags(module: Module): Record<string, string> {
  const blocks = module.dataBlocks.filter(({ type, source }) => type === tagsType && source.name.endsWith(".tf"));
  const counted = new Map(
    module.dataSources.filter(({ type }) => type === tagsType).map((one) => [one.name, one.source]),
  );
  const tags = new Map<string, string>();
  for (const block of blocks) if (counted.get(block.name) === block.source) addTags(block, tags);
  // A tag may be called __proto__: entries are defined, not assigned.
  return Object.fromEntries(tags);
}

function addTags(block: DataSource, tags: Map<string, string>): void {
  const { source } = block;
  for (const { key, value } of tagItems(block)) {
    const name = source.slice(key.span).replace(/^"+/, "").replace(/"+$/, "");
    if (tags.has(name)) throw failed(`workspace tag ${JSON.stringify(name)} is defined multiple times`);
    tags.set(name, source.slice(value.span));
  }
}

function tagItems({ source, body }: DataSource): ObjectItem[] {
  const content = new ContentReader(source, new Diagnostics()).read(body, { attributes: ["tags"], blocks: {} });
  const attribute = content.attributes.get("tags");
  if (!attribute) throw failed(`"tags" attribute is required by ${tagsType}`);
  if (attribute.value.kind !== "object") throw failed(`"tags" attribute is expected to be a key-value map`);
  return attribute.value.items;
}

const failed = (reason: string) => new TemplateError("workspace_tags", reason);
