import { create } from "@bufbuild/protobuf";
import { LogLevel, ModuleSchema, ResourceSchema, type Timing, TimingSchema } from "../../src/gen/provisioner_pb.ts";
import { GraphDoneSchema, InitDoneSchema, ParseDoneSchema, PlanDoneSchema } from "../../src/gen/session_pb.ts";
import { PeerError } from "../../src/kit/errors.ts";
import type {
  Applied,
  Graph,
  InitFacts,
  InitInput,
  OpenOptions,
  Parsed,
  PlanFacts,
  PlanInput,
  Planned,
  Provisioner,
} from "../../src/session/types.ts";

type Shape<T> = Partial<Omit<T, "$typeName" | "$unknown">>;
export type ApplyResult = { state?: string; error?: string };
type OnState = (state: string) => Promise<void>;

/** What a step can do besides returning. */
export interface Stage {
  signal: AbortSignal;
  /** Returns no facts: a step that only says something is `(stage) => stage.log("…")`. */
  log(output: string, level?: LogLevel): Record<string, never>;
  /** Waits until the step is interrupted; rejects when the session is disposed. */
  interrupted(): Promise<void>;
  /** Waits for this; rejects when the session is disposed. */
  until<T>(promise: Promise<T>): Promise<T>;
}

/** A complete state of this name: a job takes nothing less. */
export const stateOf = (name: string): string =>
  JSON.stringify({ version: 4, serial: 1, lineage: name, resources: [] });

/** A provisioner that does what a test says, step by step, and keeps what it was given. */
export class ScriptedProvisioner implements Provisioner {
  /** Steps as they began and ended, and the end of the session. */
  readonly trace: string[] = [];
  readonly given: {
    open?: OpenOptions;
    init?: InitInput;
    plans: PlanInput[];
    apply?: Parameters<Planned["apply"]>[0];
  } = {
    plans: [],
  };

  onOpen: () => Promise<void> = async () => undefined;
  onInit: (stage: Stage) => Promise<Shape<InitFacts>> = async () => ({});
  onParse: (stage: Stage) => Promise<Shape<Parsed>> = async () => ({});
  onPlan: (stage: Stage, input: PlanInput) => Promise<Shape<PlanFacts>> = async () => ({});
  onApply: (stage: Stage, onState: OnState) => Promise<ApplyResult> = async () => ({});
  /** `source` is `plan START`, `plan STOP` … or `state`. */
  onGraph: (stage: Stage, source: string) => Promise<Shape<Graph>> = async () => ({});
  applyTimings = [timing("apply")];
  /** What a dying worker leaves: handed over when the session is disposed during an apply. */
  left: string | undefined;
  /** Never ends by itself when disposed. */
  stuck = false;

  async open(options: OpenOptions, signal: AbortSignal): ReturnType<Provisioner["open"]> {
    this.trace.push("open");
    this.given.open = options;
    await this.onOpen();
    signal.throwIfAborted();
    const gone = new AbortController();
    const dead = new Promise<never>((_, reject) => {
      gone.signal.addEventListener("abort", () => reject(new PeerError("worker was ended")));
    });
    dead.catch(() => undefined);

    const step = async <T>(name: string, until: AbortSignal, work: (stage: Stage) => Promise<T>): Promise<T> => {
      this.trace.push(name);
      const interrupted = new Promise<void>((resolve) => {
        if (until.aborted) resolve();
        until.addEventListener("abort", () => resolve());
      });
      const stage: Stage = {
        signal: until,
        log: (output, level = LogLevel.INFO) => {
          options.onLog({ level, output, createdAt: 0 });
          return {};
        },
        interrupted: () => Promise.race([interrupted, ...(this.stuck ? [] : [dead])]),
        until: (promise) => Promise.race([promise, ...(this.stuck ? [] : [dead])]),
      };
      const result = await work(stage);
      this.trace.push(`${name} ended`);
      return result;
    };

    const graph = async (source: string, until: AbortSignal): Promise<Graph> => {
      const facts = await step("graph", until, (stage) => this.onGraph(stage, source));
      const resources = [create(ResourceSchema, { name: source, type: "thing" })];
      return create(GraphDoneSchema, { resources, timings: [timing("graph")], ...facts });
    };

    return {
      init: async (input, until) => {
        this.given.init = input;
        const facts = await step("init", until, (stage) => this.onInit(stage));
        const modules = [create(ModuleSchema, { key: "m", source: "./m" })];
        return {
          facts: create(InitDoneSchema, { modules, timings: [timing("init")], ...facts }),
          parse: async (signal) => create(ParseDoneSchema, await step("parse", signal, (stage) => this.onParse(stage))),
          plan: async (planInput, signal) => {
            this.given.plans.push(planInput);
            const planFacts = await step("plan", signal, (stage) => this.onPlan(stage, planInput));
            const name = ["START", "STOP", "DESTROY"][planInput.metadata.workspaceTransition];
            return {
              facts: create(PlanDoneSchema, {
                plan: bytes(`{"plan":"${name}"}`),
                timings: [timing("plan")],
                ...planFacts,
              }),
              graph: (until) => graph(`plan ${name}`, until),
              apply: async (metadata, onState, signal): Promise<Applied> => {
                this.given.apply = metadata;
                const hand: OnState = (state) => onState(bytes(state));
                try {
                  const { state = stateOf("applied"), error } = await step("apply", signal, (stage) =>
                    this.onApply(stage, hand),
                  );
                  const done = {
                    state: bytes(state),
                    timings: this.applyTimings,
                    graph: (until: AbortSignal) => graph("state", until),
                  };
                  return error === undefined ? done : { ...done, error };
                } catch (thrown) {
                  if (this.left !== undefined) await hand(this.left);
                  throw thrown;
                }
              },
            };
          },
        };
      },
      [Symbol.asyncDispose]: async () => {
        gone.abort();
        this.trace.push("disposed");
      },
    };
  }
}

export const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A timing of this stage. */
export function timing(stage: string): Timing {
  return create(TimingSchema, {
    stage,
    action: "did",
    start: { seconds: 1n, nanos: 0 },
    end: { seconds: 2n, nanos: 0 },
  });
}
