import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JobError } from "../kit/errors.ts";
import { parseNative } from "../template/bodies.ts";
import { ContentReader } from "../template/content.ts";
import { Diagnostics } from "../template/diagnostics.ts";
import { inReadingOrder, type TemplateFile } from "../template/files.ts";
import { readJson } from "../template/json-reader.ts";
import { Source } from "../template/source.ts";
import type { Body } from "../template/syntax.ts";
import { readPrivateFile } from "./state-file.ts";

/** A block that puts the state somewhere else than `terraform.tfstate`. */
export interface ForeignBackend {
  /** `backend "s3"` or `cloud`. */
  block: string;
  file: string;
  line: number;
}

/**
 * Backend and cloud blocks of a template's root folder other than an empty `backend "local"`: with them the state would
 * never reach us, or the old one would come back as the new (spec/03 §9.3). What can't be read is passed over here;
 * `checkBackend` looks at what the engine made of it.
 */
export function foreignBackends(files: readonly TemplateFile[]): ForeignBackend[] {
  const found: ForeignBackend[] = [];
  for (const file of inReadingOrder(files)) {
    const source = new Source(file.name, file.bytes);
    const ignored = new Diagnostics();
    const body: Body = file.name.endsWith(".json")
      ? { kind: "json", value: readJson(source, ignored) }
      : parseNative(source, ignored);
    const reader = new ContentReader(source, ignored);
    const settings = { attributes: [], blocks: { backend: ["type"], cloud: [] } };
    for (const terraform of reader.read(body, { attributes: [], blocks: { terraform: [] } }).blocks) {
      for (const { type, labels, at, body: inner } of reader.read(terraform.body, settings).blocks) {
        if (type === "backend" && labels[0] === "local" && reader.justAttributes(inner).length === 0) continue;
        const block = type === "cloud" ? type : `backend "${labels[0]}"`;
        found.push({ block, file: file.name, line: source.line(at) });
      }
    }
  }
  return found;
}

/** What an import of such a template fails with (spec/03 §9.3). */
export function refuseBackend({ block, file, line }: ForeignBackend): JobError {
  return new JobError(
    `keep the state: the template has a ${block} block (${file} line ${line}): ` +
      "the control plane keeps the state of its workspaces, so a template must have none; remove the block",
  );
}

/**
 * Overrides a template's backend with an empty local one, for builds of versions that another daemon imported. Override
 * files are merged in the order of their names, and the last wins; `~` sorts after all letters.
 */
export async function neutralizeBackend(folder: string): Promise<void> {
  const text = JSON.stringify({ terraform: { backend: { local: {} } } });
  await writeFile(join(folder, "~~~outpost_override.tf.json"), text, { mode: 0o600 });
}

/** A larger file is no record of a backend. */
const maxRecordBytes = 1024 * 1024;

/** Throws a JobError unless the engine, after init, keeps the state in `terraform.tfstate`: here it notes its choice. */
export async function checkBackend(folder: string): Promise<void> {
  const record = await readPrivateFile(join(folder, ".terraform", "terraform.tfstate"), maxRecordBytes);
  if (record.kind === "missing") return;
  const backend = record.kind === "file" ? backendOf(record.bytes) : { type: undefined, path: undefined };
  if (backend && (backend.type !== "local" || (backend.path !== null && backend.path !== undefined))) {
    const what =
      backend.type === "local" ? `${JSON.stringify(backend.path)}` : `backend ${JSON.stringify(backend.type ?? "")}`;
    throw new JobError(`keep the state: the engine would write it to ${what}: it must stay in "terraform.tfstate"`);
  }
}

/** Undefined where the record names no backend. */
function backendOf(bytes: Uint8Array): { type: unknown; path: unknown } | undefined {
  try {
    const record = JSON.parse(new TextDecoder().decode(bytes)) as Members | null;
    const backend = record?.["backend"] as Members | null | undefined;
    if (!backend) return undefined;
    return { type: backend["type"], path: (backend["config"] as Members | null | undefined)?.["path"] };
  } catch {
    return { type: undefined, path: undefined };
  }
}

type Members = Record<string, unknown>;
