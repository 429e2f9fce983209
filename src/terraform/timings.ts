import { create } from "@bufbuild/protobuf";
import { type Timing, TimingSchema, TimingState } from "../gen/provisioner_pb.ts";
import type { EngineRecord } from "./records.ts";

/** Stages that the control plane keeps; rows of another are dropped there (spec/03 §6). */
export type TimingStage = "init" | "plan" | "graph" | "apply";

interface Event {
  category: string;
  state: TimingState;
  action: string;
  source: string;
  resource: string;
  code: string;
}

const { STARTED, COMPLETED, FAILED } = TimingState;

/** What a message says about time: category and state by its type (spec/03 §6.1). */
const hooks: Record<string, [category: string, state: TimingState]> = {
  apply_start: ["apply", STARTED],
  apply_complete: ["apply", COMPLETED],
  apply_errored: ["apply", FAILED],
  provision_start: ["provision", STARTED],
  provision_complete: ["provision", COMPLETED],
  provision_errored: ["provision", FAILED],
  refresh_start: ["state refresh", STARTED],
  refresh_complete: ["state refresh", COMPLETED],
  graph_start: ["graph", STARTED],
  graph_complete: ["graph", COMPLETED],
  graph_errored: ["graph", FAILED],
};

/** Init's steps: a message of one starts it and ends the one directly before (spec/03 §6.3). */
const initSteps: { name: string; codes: string[] }[] = [
  { name: "backend", codes: ["initializing_backend_message", "initializing_state_store_message"] },
  { name: "modules", codes: ["initializing_modules_message", "upgrading_modules_message"] },
  { name: "provider plugins", codes: ["initializing_provider_plugin_message"] },
  { name: "", codes: ["output_init_success_message", "output_init_success_cloud_message"] },
];

/** How many different events one step may have: a plan of 50,000 resources has two for each; more are not collected. */
const maxEvents = 200_000;

/** Makes timing rows of the engine's messages: one collector for each request (spec/03 §6). */
export class TimingCollector {
  /** By everything but the state, then the state: a later event with the same key overwrites the earlier one (spec/03 §6.2). */
  readonly #events = new Map<string, Event & { times: Map<TimingState, number> }>();

  constructor(readonly stage: TimingStage) {}

  /** Looks at one message; `nowMs` is when it was read. */
  add(record: EngineRecord, nowMs: number): void {
    const time = microsecondsOf(record.timestamp) ?? nowMs * 1000;
    if (record.type === "init_output") this.#addInit(record.messageCode, time);
    const hook = Object.hasOwn(hooks, record.type) ? hooks[record.type] : undefined;
    if (!hook) return;
    const [category, state] = hook;
    const { action, provider, address } = record.hook;
    this.#note({ category, state, action, source: provider, resource: address, code: record.messageCode }, time);
  }

  #addInit(code: string, time: number): void {
    const step = initSteps.findIndex(({ codes }) => codes.includes(code));
    if (step < 0) return;
    const before = initSteps[step - 1];
    for (const ended of before?.codes ?? []) this.#note(initEvent(before?.name ?? "", COMPLETED, ended), time);
    const { name } = initSteps[step] as { name: string };
    if (name) this.#note(initEvent(name, STARTED, code), time);
  }

  #note(event: Event, time: number): void {
    const key = JSON.stringify([event.category, event.action, event.resource, event.source, event.code]);
    let noted = this.#events.get(key);
    if (!noted) {
      if (this.#events.size >= maxEvents) return;
      noted = { ...event, times: new Map() };
      this.#events.set(key, noted);
    }
    noted.times.set(event.state, time);
  }

  /** Addresses whose change began and, as far as was said, did not end. */
  unfinished(): string[] {
    const open = [...this.#events.values()].filter(
      ({ category, action, times }) =>
        category === "apply" && action !== "read" && times.size === 1 && times.has(STARTED),
    );
    return open.map(({ resource }) => resource);
  }

  /** The rows that have a start and an end; an end before its start counts as both (spec/03 §6.2). */
  rows(): Timing[] {
    const rows: Timing[] = [];
    for (const { times, ...event } of this.#events.values()) {
      const start = times.get(STARTED);
      for (const state of [COMPLETED, FAILED]) {
        const end = times.get(state);
        if (start === undefined || end === undefined) continue;
        const { source, resource } = event;
        const action = event.action || event.category;
        rows.push(row({ start: Math.min(start, end), end, action, source, resource, stage: this.stage, state }));
      }
    }
    return rows;
  }
}

/** The row that a step adds for itself, from our own clock in milliseconds (spec/03 §6.4). */
export function stageRow(stage: TimingStage, startMs: number, endMs: number, worked: boolean): Timing {
  return row({
    start: startMs * 1000,
    end: endMs * 1000,
    action: "terraform",
    source: "coder",
    resource: `coder_stage_${stage}`,
    stage,
    state: worked ? COMPLETED : FAILED,
  });
}

const initEvent = (resource: string, state: TimingState, code: string): Event => ({
  category: "init",
  state,
  action: "load",
  source: "",
  resource,
  code,
});

interface Row {
  /** Microseconds since the epoch. */
  start: number;
  end: number;
  action: string;
  source: string;
  resource: string;
  stage: string;
  state: TimingState;
}

const row = ({ start, end, ...rest }: Row): Timing =>
  create(TimingSchema, { ...rest, start: timestamp(start), end: timestamp(end) });

function timestamp(microseconds: number): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(microseconds / 1e6);
  return { seconds: BigInt(seconds), nanos: Math.round(microseconds - seconds * 1e6) * 1000 };
}

/** Microseconds since the epoch, or undefined where the text is no time with exactly six digits after the point (spec/03 §6.1). */
function microsecondsOf(text: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) return undefined;
  const whole = Date.parse(`${match[1]}${match[3]}`);
  return Number.isNaN(whole) ? undefined : whole * 1000 + Number(match[2]);
}
