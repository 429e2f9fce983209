import { create } from "@bufbuild/protobuf";
import {
  ApplySchema,
  Graph_Source,
  GraphSchema,
  InitSchema,
  OpenSchema,
  ParseSchema,
  PlanSchema,
} from "../gen/session_pb.ts";
import { type Clock, systemClock } from "../kit/clock.ts";
import { Conversation, type WorkerConnection } from "./conversation.ts";
import { Newest } from "./newest.ts";
import type { Graph, Initialized, Planned, Provisioner, Session } from "./types.ts";

/**
 * A provisioner whose sessions run in workers. `connect` starts a worker, or takes a warm one, and throws what it
 * likes when it can't; `settingsJson` gives what the worker's provisioner may know.
 */
export function remoteProvisioner(
  connect: (signal: AbortSignal) => Promise<WorkerConnection>,
  settingsJson: () => Uint8Array,
  clock: Clock = systemClock,
): Provisioner {
  return {
    async open({ logLevel, templateId, templateVersionId, onLog }, signal) {
      const connection = await connect(signal);
      const worker = new Conversation(connection, onLog, clock);
      const settings = settingsJson();
      worker.send({ case: "open", value: create(OpenSchema, { logLevel, templateId, templateVersionId, settings }) });
      return sessionOf(worker);
    },
  };
}

function sessionOf(worker: Conversation): Session {
  return {
    async init(input, signal) {
      const facts = await worker.ask({ case: "init", value: create(InitSchema, input) }, signal);
      return initialized(worker, facts);
    },
    [Symbol.asyncDispose]: () => worker.dispose(),
  };
}

function initialized(worker: Conversation, facts: Initialized["facts"]): Initialized {
  return {
    facts,
    parse: (signal) => worker.ask({ case: "parse", value: create(ParseSchema) }, signal),
    async plan(input, signal) {
      const planFacts = await worker.ask({ case: "plan", value: create(PlanSchema, input) }, signal);
      return planned(worker, planFacts);
    },
  };
}

function planned(worker: Conversation, facts: Planned["facts"]): Planned {
  return {
    facts,
    graph: (signal) => graph(worker, Graph_Source.PLAN, signal),
    async apply(metadata, onState, signal) {
      const states = new Newest(onState);
      try {
        const question = { case: "apply", value: create(ApplySchema, { metadata }) } as const;
        const { state, error, timings } = await worker.ask(question, signal, (newer) => states.put(newer));
        const done = {
          state: state.slice(),
          timings,
          graph: (until: AbortSignal) => graph(worker, Graph_Source.STATE, until),
        };
        return error ? { ...done, error } : done;
      } finally {
        await states.settled();
      }
    },
  };
}

function graph(worker: Conversation, source: Graph_Source, signal: AbortSignal): Promise<Graph> {
  return worker.ask({ case: "graph", value: create(GraphSchema, { source }) }, signal);
}
