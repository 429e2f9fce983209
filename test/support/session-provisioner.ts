import { appendFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { StepError } from "../../src/contract/step-error.ts";
import { type LogLevel, ModuleSchema, ResourceSchema, TimingSchema } from "../../src/gen/provisioner_pb.ts";
import { GraphDoneSchema, InitDoneSchema, ParseDoneSchema, PlanDoneSchema } from "../../src/gen/session_pb.ts";
import type { JobErrorCode } from "../../src/kit/errors.ts";
import { aborted } from "../../src/kit/signals.ts";
import type { Applied, Graph, Initialized, Planned, Provisioner, Session } from "../../src/session/types.ts";

/** What one call of a step does, in this order. */
export interface StepScript {
  logs?: { level: LogLevel; output: string }[];
  /** Texts that an apply hands over as states. */
  states?: string[];
  /** Wait for the interrupt before answering. */
  untilCanceled?: boolean;
  /** End the process: a crash. */
  exit?: boolean;
  error?: string;
  code?: JobErrorCode;
  /** Bytes of the module archive, the plan or the final state. */
  bytes?: number;
}

export interface Script {
  /** A file that gets one line for each thing that happens: what a test can see of a worker. */
  trace?: string;
  /** By step, one entry for each call; a step without an entry succeeds at once. */
  steps?: Partial<Record<"init" | "parse" | "plan" | "graph" | "apply", StepScript[]>>;
}

/** A provisioner that does what a script in JSON says, in this process or in a worker. */
export function scriptedSession(script: Script): Provisioner {
  const calls = structuredClone(script.steps ?? {});
  const trace = (line: string) => script.trace && appendFileSync(script.trace, `${line}\n`);
  return {
    open({ onLog, logLevel }) {
      trace(`open ${logLevel}`);
      const gone = new AbortController();
      let working: Promise<unknown> = Promise.resolve();
      const log = (level: LogLevel, output: string) => onLog({ level, output, createdAt: 1_764_000_000_000 });

      const step = async (name: "init" | "parse" | "plan" | "graph" | "apply", signal: AbortSignal) => {
        const call = calls[name]?.shift() ?? {};
        trace(`${name} began`);
        const ended = (async () => {
          for (const line of call.logs ?? []) log(line.level, line.output);
          if (call.exit) process.exit(3);
          if (call.untilCanceled) {
            await Promise.race([aborted(signal), aborted(gone.signal)]);
            trace(`${name} interrupted`);
            // The engine takes its time to end.
            for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
          }
          trace(`${name} ended`);
        })();
        working = ended;
        await ended;
        if (gone.signal.aborted) throw new Error("the session was disposed");
        if (call.error !== undefined && name !== "apply") {
          throw new StepError(call.error, { code: call.code ?? "", timings: [timing(name)] });
        }
        return call;
      };

      const graph = async (source: string, signal: AbortSignal): Promise<Graph> => {
        await step("graph", signal);
        return create(GraphDoneSchema, {
          resources: [create(ResourceSchema, { name: source, type: "thing" })],
          timings: [timing("graph")],
        });
      };

      const planned = (facts: Planned["facts"]): Planned => ({
        facts,
        graph: (signal) => graph("plan", signal),
        async apply(metadata, onState, signal): Promise<Applied> {
          const states = calls.apply?.[0]?.states ?? [];
          for (const state of states) await onState(text(state));
          const call = await step("apply", signal);
          const done = {
            state: call.bytes ? filled(call.bytes) : text(`final ${metadata.workspaceName}`),
            timings: [timing("apply")],
            graph: (until: AbortSignal) => graph("state", until),
          };
          return call.error === undefined ? done : { ...done, error: call.error };
        },
      });

      const initialized = (facts: Initialized["facts"]): Initialized => ({
        facts,
        async parse(signal) {
          await step("parse", signal);
          return create(ParseDoneSchema, { readme: text("# Read me"), workspaceTags: { zone: '"eu"' } });
        },
        async plan(input, signal) {
          const call = await step("plan", signal);
          const plan = call.bytes ? filled(call.bytes) : text(`plan of ${input.state.length} bytes of state`);
          return planned(create(PlanDoneSchema, { plan, dailyCost: 7, timings: [timing("plan")] }));
        },
      });

      const session: Session = {
        async init(input, signal) {
          const call = await step("init", signal);
          return initialized(
            create(InitDoneSchema, {
              modules: [
                create(ModuleSchema, {
                  key: `${input.templateArchive.length}`,
                  source: `${input.moduleArchive.length}`,
                }),
              ],
              moduleFiles: input.omitModuleFiles ? new Uint8Array() : filled(call.bytes ?? 10),
              timings: [timing("init")],
            }),
          );
        },
        async [Symbol.asyncDispose]() {
          trace("disposing");
          gone.abort();
          await working;
          trace("disposed");
        },
      };
      return Promise.resolve(session);
    },
  };
}

/** Bytes with a pattern, so that a mix-up shows. */
export function filled(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31) % 251);
}

const encoder = new TextEncoder();
export const text = (value: string): Uint8Array => encoder.encode(value);

function timing(stage: string) {
  return create(TimingSchema, {
    stage,
    action: "did",
    start: { seconds: 1n, nanos: 0 },
    end: { seconds: 2n, nanos: 0 },
  });
}
