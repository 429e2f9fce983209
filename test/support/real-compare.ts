import { type DescMessage, type JsonObject, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { LogLevel } from "../../src/gen/provisioner_pb.ts";
import { type AcquiredJob, AcquiredJobSchema, type Log, LogSource } from "../../src/gen/provisionerd_pb.ts";

/** One place where two runs of the same job differ. Undefined: there is nothing at that place. */
export interface Difference {
  at: string;
  recorded: JsonValue | undefined;
  ours: JsonValue | undefined;
}

/** Fields of messages that hold JSON documents: they are compared by meaning. */
const documents = new Set(["state", "plan"]);
/** Differ from run to run and say nothing: when something happened. */
const moments = new Set(["start", "end", "timestamp"]);
/** Lists without an order of their own: timings (spec/03 §6.2), and what Terraform collects in a map. */
const unordered = new Set(["timings", "relevant_attributes", "sensitive_attributes"]);
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
/** A longer text is told by its beginning and its length. */
const shownCharacters = 120;

/**
 * A message as JSON in which only what must be equal is left: documents as trees, moments gone, lists without
 * an order sorted, and each id that the job did not come with by the number of its first appearance. So an id that is mentioned
 * in two places is mentioned in the same two places.
 */
export function normalForm<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  acquired: AcquiredJob,
): JsonValue {
  const given = givenIds(acquired);
  const tree = plain(toJson(schema, message) as JsonValue);
  const seen = new Map<string, string>();
  const name = (id: string) => {
    if (given.has(id)) return id;
    const known = seen.get(id) ?? `id ${seen.size + 1}`;
    seen.set(id, known);
    return known;
  };
  return mapTexts(tree, (text) => text.replaceAll(uuid, name));
}

/** All places where they differ, as paths; elements of a list go by their address or name where they have one. */
export function differences(recorded: JsonValue | undefined, ours: JsonValue | undefined, at = ""): Difference[] {
  if (isObject(recorded) && isObject(ours)) {
    const names = [...new Set([...Object.keys(recorded), ...Object.keys(ours)])];
    return names.flatMap((name) => differences(recorded[name], ours[name], at === "" ? name : `${at}.${name}`));
  }
  if (Array.isArray(recorded) && Array.isArray(ours)) {
    const longest = recorded.length > ours.length ? recorded : ours;
    return longest.flatMap((_, index) =>
      differences(recorded[index], ours[index], `${at}[${label(recorded[index] ?? ours[index], index)}]`),
    );
  }
  return Object.is(recorded, ours) ? [] : [{ at, recorded: shown(recorded), ours: shown(ours) }];
}

/**
 * Lines that only one of both has, by stage as it ran, and then places where those that both have come in another order.
 * Lines about a resource may come in any order: resources are read and made side by side.
 */
export function logDifferences(recorded: readonly Log[], ours: readonly Log[]): Difference[] {
  const [theirs, mine] = [linesByStage(recorded), linesByStage(ours)];
  return [...new Set([...theirs.keys(), ...mine.keys()])].flatMap((at) => {
    const [left, right] = [theirs.get(at) ?? [], mine.get(at) ?? []];
    const [onlyLeft, onlyRight] = [without(left, right), without(right, left)];
    return [
      ...onlyLeft.map((line) => ({ at, recorded: shown(line), ours: undefined })),
      ...onlyRight.map((line) => ({ at, recorded: undefined, ours: shown(line) })),
      ...differences(inOrder(without(left, onlyLeft)), inOrder(without(right, onlyRight)), `${at}, order`),
    ];
  });
}

/** Forwarded lines by stage; the second run of a stage in the same job is `STAGE (2)`. */
function linesByStage(logs: readonly Log[]): Map<string, string[]> {
  const lines = new Map<string, string[]>();
  const runs = new Map<string, number>();
  let at = "";
  for (const [index, log] of logs.entries()) {
    if (log.stage !== logs[index - 1]?.stage) {
      const nth = (runs.get(log.stage) ?? 0) + 1;
      runs.set(log.stage, nth);
      at = nth === 1 ? log.stage : `${log.stage} (${nth})`;
    }
    // What a daemon says of itself is its own business, but for the markers, which the test compares.
    if (log.source === LogSource.PROVISIONER && !isClock(log.output))
      lines.set(at, [...(lines.get(at) ?? []), normalLine(log)]);
  }
  return lines;
}

/** The recorded template prints a line each second: how many there are says when somebody cancelled. */
const isClock = (output: string): boolean => /\btick \d+$/.test(output);

const inOrder = (lines: readonly string[]): string[] =>
  lines.filter((line) => !/^\w+: [\w.]+\.\w+(\[\d+\])?: /.test(line));

const normalLine = ({ level, output }: Log): string =>
  `${LogLevel[level]?.toLowerCase()}: ${output.replaceAll(uuid, "ID").replaceAll(/after \d+s/g, "after Ns")}`;

function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return lines.filter((line) => {
    const index = left.indexOf(line);
    if (index < 0) return true;
    left.splice(index, 1);
    return false;
  });
}

function plain(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value;
  const fields = Object.entries(value).flatMap(([name, field]): [string, JsonValue][] => {
    if (moments.has(name) && typeof field === "string") return [];
    const inner = plain((documents.has(name) && documentOf(field)) || field);
    return [[name, unordered.has(name) && Array.isArray(inner) ? inner.sort(byText) : inner]];
  });
  return Object.fromEntries(fields);
}

/**
 * A field of bytes that hold a JSON document; undefined for anything else that has such a name. A state's serial is left
 * out: it counts how often Terraform wrote the state, and resources that end together share a write.
 */
function documentOf(field: JsonValue): JsonValue | undefined {
  const text = typeof field === "string" ? Buffer.from(field, "base64").toString() : "";
  if (!text.startsWith("{")) return undefined;
  const { serial: _, ...document } = JSON.parse(text) as JsonObject;
  return document;
}

const byText = (a: JsonValue, b: JsonValue): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

/** Ids that the job brought along, also those in its state. */
function givenIds(acquired: AcquiredJob): Set<string> {
  const text = JSON.stringify(plain(toJson(AcquiredJobSchema, acquired) as JsonValue));
  return new Set(text.match(uuid) ?? []);
}

function mapTexts(value: JsonValue, change: (text: string) => string): JsonValue {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((inner) => mapTexts(inner, change));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, mapTexts(inner, change)]));
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function label(element: JsonValue | undefined, index: number): string | number {
  if (!isObject(element)) return index;
  const { address, resource, type, name } = element;
  if (typeof address === "string") return address;
  if (typeof resource === "string") return resource;
  if (typeof type === "string" && typeof name === "string") return `${type}.${name}`;
  return typeof name === "string" ? name : index;
}

function shown(value: JsonValue | undefined): JsonValue | undefined {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  if (text.length <= shownCharacters) return value;
  return `${text.split("\n", 1)[0]?.slice(0, 40)}… (${text.length} characters)`;
}
