import { create } from "@bufbuild/protobuf";
import { StepError } from "../contract/step-error.ts";
import {
  ApplyDoneSchema,
  FailureSchema,
  FatalSchema,
  type FromWorker,
  type Graph,
  Graph_Source,
  GraphDoneSchema,
  InitDoneSchema,
  type Open,
  ParseDoneSchema,
  PlanDoneSchema,
  StateSchema,
  type ToWorker,
} from "../gen/session_pb.ts";
import { JobError, messageOf, PeerError, TooBigError } from "../kit/errors.ts";
import { raceSignal } from "../kit/signals.ts";
import type { ByteStream } from "../wire/stream.ts";
import { FrameReader, frameLimits } from "./frames.ts";
import { decodeToWorker } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import type { Applied, Initialized, Planned, Provisioner, Session } from "./types.ts";

type Kind = ToWorker["kind"];
type Answer = FromWorker["kind"];

/**
 * Serves one session on a byte stream, in the worker, and enforces its order (spec/03 §0.1):
 *
 *  - new: the first message must be Open
 *  - idle: a step may be asked for, as far as the law allows; a Cancel is ignored
 *  - working: only a Cancel may come, and the step still answers. Anything else, or the end of the stream, interrupts
 *    the step, waits for its end, throws its result away and ends the session
 *  - over: the session is disposed, after the step has ended
 *
 * What breaks the law is told to the agent (Fatal). Resolves when the session is over; never rejects for what the
 * agent or the template did. `signal` interrupts and ends it.
 */
export async function serveSession(
  stream: ByteStream,
  makeProvisioner: (settingsJson: Uint8Array) => Provisioner,
  signal: AbortSignal,
): Promise<void> {
  const outbox = new Outbox(stream);
  const messages = readMessages(stream);
  try {
    const first = await raceSignal(messages.next(), signal);
    if (first.done) return;
    if (first.value.case !== "open") {
      throw new PeerError(`open session: first message is "${first.value.case}": it must be "open"`);
    }
    const session = await open(first.value.value, makeProvisioner, outbox, signal);
    try {
      await converse(new Steps(session, outbox), messages, outbox, signal);
    } finally {
      await session[Symbol.asyncDispose]();
    }
  } catch (error) {
    const fatal = create(FatalSchema, { error: messageOf(error) });
    await outbox.say({ case: "fatal", value: fatal }).catch(() => undefined);
  } finally {
    await stream.end().catch(() => undefined);
  }
}

function open(
  message: Open,
  makeProvisioner: (settingsJson: Uint8Array) => Provisioner,
  outbox: Outbox,
  signal: AbortSignal,
): Promise<Session> {
  outbox.logLevel = message.logLevel;
  const { logLevel, templateId, templateVersionId } = message;
  const onLog = outbox.log.bind(outbox);
  return makeProvisioner(message.settings).open({ logLevel, templateId, templateVersionId, onLog }, signal);
}

/** Messages one by one; ends with the stream, throws PeerError for what is no message. */
async function* readMessages(stream: ByteStream): AsyncGenerator<Kind, void, undefined> {
  const frames = new FrameReader(frameLimits.toWorkerBytes);
  for await (const chunk of stream) {
    for (const frame of frames.push(chunk)) yield decodeToWorker(frame).kind;
  }
  if (frames.partial) throw new PeerError("read message of the agent: the stream ended inside it");
}

/** Asks for steps until the agent has no more. One message is read ahead, also while a step works. */
async function converse(
  steps: Steps,
  messages: AsyncGenerator<Kind, void, undefined>,
  outbox: Outbox,
  signal: AbortSignal,
): Promise<void> {
  let next = ahead(messages);
  for (;;) {
    const message = await raceSignal(next, signal);
    if (message.done) return;
    next = ahead(messages);
    if (message.value.case === "cancel") continue;

    const stop = new AbortController();
    const work = steps.perform(message.value, stop.signal);
    let broken: Error | undefined;
    for (let answered = false; !answered && !broken; ) {
      const seen = await Promise.race([
        work.then(
          () => "answer" as const,
          () => "answer" as const,
        ),
        seenNext(next, signal),
      ]);
      if (seen === "answer") answered = true;
      else if (seen === "cancel") next = ahead(messages);
      else broken = seen;
      if (seen !== "answer") stop.abort(broken ?? new JobError("canceled"));
    }
    if (broken) {
      await work.catch(() => undefined);
      throw broken;
    }
    await answer(outbox, await work);
  }
}

/** Asks for the next message; a failure waits for whoever takes it. */
function ahead(messages: AsyncGenerator<Kind, void, undefined>): Promise<IteratorResult<Kind, void>> {
  const next = messages.next();
  next.catch(() => undefined);
  return next;
}

/** An answer that the agent would refuse for its size becomes a failure in words. */
async function answer(outbox: Outbox, kind: Answer): Promise<void> {
  try {
    await outbox.say(kind);
  } catch (error) {
    if (!(error instanceof TooBigError)) throw error;
    const text = error.message;
    await outbox.say(
      kind.case === "apply"
        ? { case: "apply", value: create(ApplyDoneSchema, { error: text, timings: kind.value.timings }) }
        : { case: "failure", value: create(FailureSchema, { error: text }) },
    );
  }
}

/** What the next message means while a step works: only a Cancel is allowed. */
async function seenNext(next: Promise<IteratorResult<Kind, void>>, signal: AbortSignal): Promise<"cancel" | Error> {
  try {
    const message = await raceSignal(next, signal);
    if (message.done) return new PeerError("the agent ended the stream while a step was running");
    if (message.value.case === "cancel") return "cancel";
    return new PeerError(`"${message.value.case}" came while a step was running: only "cancel" may`);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** What has been reached so far, and so what may come next. */
class Steps {
  #initialized: Initialized | undefined;
  #planned: Planned | undefined;
  #applied: Applied | undefined;

  constructor(
    readonly session: Session,
    readonly outbox: Outbox,
  ) {}

  /** Performs one step. Throws PeerError for a step out of order, anything else for a bug: both end the session. */
  async perform(message: Kind, signal: AbortSignal): Promise<Answer> {
    try {
      return await this.#step(message, signal);
    } catch (error) {
      if (!(error instanceof JobError)) throw error;
      const timings = error instanceof StepError ? error.timings : [];
      const value = create(FailureSchema, { error: error.message, code: error.code, timings });
      return { case: "failure", value };
    }
  }

  async #step(message: Kind, signal: AbortSignal): Promise<Answer> {
    switch (message.case) {
      case "init":
        if (this.#initialized) throw new PeerError('"init" came again: it may succeed only once');
        this.#initialized = await this.session.init(message.value, signal);
        return { case: "init", value: create(InitDoneSchema, this.#initialized.facts) };
      case "parse": {
        const parsed = await this.#after("parse", "init", this.#initialized).parse(signal);
        return { case: "parse", value: create(ParseDoneSchema, parsed) };
      }
      case "plan":
        // A plan that fails later doesn't take back an earlier one (spec/03 §0.1 rule 4).
        this.#planned = await this.#after("plan", "init", this.#initialized).plan(requirePlan(message.value), signal);
        return { case: "plan", value: create(PlanDoneSchema, this.#planned.facts) };
      case "graph":
        return { case: "graph", value: create(GraphDoneSchema, await this.#graph(message.value, signal)) };
      case "apply": {
        const planned = this.#after("apply", "plan", this.#planned);
        if (!message.value.metadata) throw new PeerError('"apply" came without metadata');
        this.#applied = await planned.apply(message.value.metadata, (state) => this.#state(state), signal);
        const { state, error = "", timings } = this.#applied;
        return { case: "apply", value: create(ApplyDoneSchema, { state, error, timings }) };
      }
      default:
        throw new PeerError(`"${message.case}" came: it is no step`);
    }
  }

  #graph(message: Graph, signal: AbortSignal): ReturnType<Planned["graph"]> {
    this.#after("graph", "init", this.#initialized);
    switch (message.source) {
      case Graph_Source.PLAN:
        return this.#after("graph of the plan", "plan", this.#planned).graph(signal);
      case Graph_Source.STATE:
        return this.#after("graph of the state", "apply", this.#applied).graph(signal);
      default:
        throw new PeerError(`"graph" came with source ${message.source}: it must be plan or state`);
    }
  }

  async #state(state: Uint8Array): Promise<void> {
    // Neither a state that is too big nor an agent that is gone fails the apply: its answer, or the stream's end, tells.
    await this.outbox.say({ case: "state", value: create(StateSchema, { state }) }).catch(() => undefined);
  }

  #after<T>(step: string, required: string, reached: T | undefined): T {
    if (reached === undefined) throw new PeerError(`"${step}" came before a "${required}" that worked`);
    return reached;
  }
}

function requirePlan(plan: Extract<Kind, { case: "plan" }>["value"]): Parameters<Initialized["plan"]>[0] {
  const { metadata } = plan;
  if (!metadata) throw new PeerError('"plan" came without metadata');
  return { ...plan, metadata };
}
