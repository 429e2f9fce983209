import type { AcquiredJob } from "../gen/provisionerd_pb.ts";
import { Backoff, curves } from "../kit/backoff.ts";
import type { Clock } from "../kit/clock.ts";
import { messageOf, type OperatorError } from "../kit/errors.ts";
import { Scope } from "../kit/scope.ts";
import { anySignal } from "../kit/signals.ts";
import { acquire } from "./acquire.ts";
import { JobCalls } from "./calls.ts";
import type { Connection } from "./connection.ts";
import { type DialContext, decide } from "./decision.ts";
import { Dialer, type DialerOptions, type Dialled } from "./dialer.ts";
import type { LinkEvent, LinkState } from "./events.ts";
import { type DialFailure, passesWithTime } from "./failure.ts";
import { JobGate } from "./gate.ts";
import { fingerprint, type Identity } from "./identity.ts";
import { InitScriptCache, type InitScripts } from "./init-scripts.ts";
import type { KeyDetails } from "./rest.ts";
import { ConnectionSlot } from "./slot.ts";
import { pause } from "./timing.ts";

/** A session that ends sooner does not count as success for the curve: a server that drops us at once is not hammered (spec/01 §1.12). */
const goodSessionMs = 10_000;
/** How soon a GoAway is noticed; no release of the control plane sends one, but what stands between us may be replaced by one that does. */
const goAwayPollMs = 1_000;

export interface LinkOptions extends Omit<DialerOptions, "log"> {
  /** Ends the link with the refusal's OperatorError when the control plane has not wanted us for so long; off when undefined. */
  exitWhenRefusedMs?: number | undefined;
  onEvent: (event: LinkEvent) => void;
}

/** The connection to the control plane as the rest of the agent sees it. One `start`; jobs use `calls`, lanes use `acquire`. */
export class Link {
  /** Fits `ControlPlane` of the job room. */
  readonly calls: JobCalls;
  readonly #options: LinkOptions;
  readonly #slot = new ConnectionSlot();
  readonly #gate = new JobGate();
  #dialer: Dialer;
  readonly #normal: Backoff;
  readonly #slow: Backoff;
  readonly #scripts: InitScriptCache;
  /** The current one and those that drain. */
  readonly #connections = new Set<Connection>();
  #state: LinkState;
  /** Dials since there was no connection, and since when on the monotonic clock. */
  #outage: { sinceMs: number; dials: number };
  #hadSuccess = false;
  #refusedSinceMs: number | undefined;
  #lastWords = "";
  /** A connection that was made with another credential, until the loop takes it over; `ready` aborts with its arrival. */
  #successor: { dialer: Dialer; dialled: Dialled & { ok: true } } | undefined;
  #ready = new AbortController();

  constructor(options: LinkOptions) {
    const { timing } = options;
    this.#options = options;
    this.#dialer = this.#makeDialer(options.identity);
    this.#normal = new Backoff(curves.dial, timing.random);
    this.#slow = new Backoff(curves.slow, timing.random);
    this.#slow.next(); // A curve's first delay is none, and nothing slow starts at once.
    this.#scripts = new InitScriptCache(timing);
    this.#state = { kind: "idle", since: timing.clock.now() };
    this.#outage = { sinceMs: timing.clock.monotonic(), dials: 0 };
    this.calls = new JobCalls(this.#slot, timing);
  }

  get state(): LinkState {
    return this.#state;
  }

  /**
   * Connects, and reconnects for ever. Resolves after the signal aborted and the connection was closed in order (at most 5 s);
   * rejects with OperatorError where a person must act (spec/01 §1.6), and then every waiting call rejects with it, too.
   */
  async start(signal: AbortSignal): Promise<void> {
    const { deployment, identity, onEvent } = this.#options;
    for (const message of [...deployment.warnings, ...identity.warnings]) onEvent({ kind: "warning", message });
    await using scope = new Scope(signal);
    try {
      this.#become("connecting");
      await this.#dialer.prepare(signal);
      await this.#run(scope, signal);
    } catch (error) {
      this.#slot.close(error);
      const left = [...this.#connections, ...(this.#successor ? [this.#successor.dialled.connection] : [])];
      await Promise.all(left.map(({ parts }) => parts.mux.close()));
      this.#become("ended", signal.aborted ? undefined : messageOf(error));
      if (!signal.aborted) throw error;
    }
  }

  /** Waits for a job; see `acquire` in acquire.ts. Aborting cancels, and a job that comes all the same is returned. */
  acquire(signal: AbortSignal): Promise<AcquiredJob | undefined> {
    const onMiss = (why: string) => this.#options.onEvent({ kind: "acquire-failed", why });
    return this.#gate.pass((open) => acquire(this.#slot, this.#options.timing, onMiss, open), signal);
  }

  /**
   * Dials with another credential under the same name while the current connection goes on. Then acquires and calls move to
   * the new one, the old one ends with the last call on it, and later dials use the new credential (spec/02 §5.1). Resolves
   * with nothing when that is under way, else with the reason: nothing has changed then.
   */
  async renew(identity: Identity, signal: AbortSignal): Promise<string | undefined> {
    const dialer = this.#makeDialer(identity);
    const dialled = await dialer.dial(signal);
    if (!dialled.ok) {
      const verdict = decide(dialled.failure, this.#context(dialer));
      return verdict.do === "retry" ? verdict.why : verdict.error.message;
    }
    // One that nobody has taken over yet is left for the newer one.
    void this.#successor?.dialled.connection.parts.mux.close();
    this.#successor = { dialer, dialled };
    this.#ready.abort();
    return undefined;
  }

  /** Takes no more jobs until a handshake succeeds: the control plane no longer knows our key. Calls of running jobs go on. It is asked again in `nextMs`. */
  hold(error: OperatorError, nextMs: number): void {
    this.#gate.shut(error);
    this.#refusedSinceMs ??= this.#options.timing.clock.monotonic();
    this.#options.onEvent({ kind: "refused", error, delayMs: nextMs, again: this.#said(error.message) });
    this.#become("refused", error.message);
  }

  /** The details of a key, ours or another, asked for with fresh extra headers; see `Dialer.keyDetails`. */
  async keyDetails(
    identity: Identity,
    signal: AbortSignal,
  ): Promise<{ status: number; details?: KeyDetails } | undefined> {
    const dialer = this.#makeDialer(identity);
    await dialer.prepare(signal);
    return dialer.keyDetails(signal);
  }

  /** What to tell about a key that the control plane doesn't know. */
  keyRefusal(identity: Identity): OperatorError {
    const failure = {
      kind: "status",
      status: 401,
      body: { message: "", validations: [] },
      keyCheck: "refused",
    } as const;
    const verdict = decide(failure, { ...this.#context(this.#makeDialer(identity)), hadSuccess: true });
    if (verdict.do === "retry") throw new Error("a refused key is nothing that passes");
    return verdict.error;
  }

  /** The deployment's own bootstrap scripts, keyed `linux_amd64` and so on; undefined where the server has none (spec/03 §4.6). */
  async initScripts(signal: AbortSignal): Promise<InitScripts | undefined> {
    await this.#slot.take(signal);
    return this.#scripts.get(signal);
  }

  async #run(scope: Scope, signal: AbortSignal): Promise<never> {
    for (let delayMs = this.#normal.next(); ; ) {
      await this.#pauseOrSuccessor(delayMs, signal);
      this.#outage.dials++;
      const taken = this.#takeSuccessor();
      const dialled = taken ?? (await this.#dialer.dial(signal));
      if (dialled.ok) {
        await this.#session(dialled, taken !== undefined, scope, signal);
        delayMs = this.#normal.next();
      } else {
        delayMs = this.#delayAfter(dialled.failure);
      }
    }
  }

  async #pauseOrSuccessor(delayMs: number, signal: AbortSignal): Promise<void> {
    using either = anySignal(signal, this.#ready.signal);
    await pause(this.#options.timing, delayMs, either.signal).catch(() => signal.throwIfAborted());
  }

  #takeSuccessor(): (Dialled & { ok: true }) | undefined {
    const successor = this.#successor;
    if (!successor) return undefined;
    this.#successor = undefined;
    this.#ready = new AbortController();
    this.#dialer = successor.dialer;
    return successor.dialled;
  }

  #makeDialer(identity: Identity): Dialer {
    const { onEvent } = this.#options;
    return new Dialer({ ...this.#options, identity, log: (message) => onEvent({ kind: "warning", message }) });
  }

  #context(dialer: Dialer): DialContext {
    const { kind, secret } = dialer.options.identity.credential;
    return {
      hadSuccess: this.#hadSuccess,
      credential: kind,
      fingerprint: fingerprint(secret),
      url: this.#options.deployment.origin.href,
      organization: dialer.organization ?? "",
    };
  }

  /** Decides on a failed dial: the delay before the next one in milliseconds, or an OperatorError. */
  #delayAfter(failure: DialFailure): number {
    const { onEvent } = this.#options;
    const verdict = decide(failure, this.#context(this.#dialer));
    switch (verdict.do) {
      case "stop":
        throw verdict.error;
      case "retry": {
        const delayMs = Math.max(this.#normal.next(), verdict.atLeastMs);
        onEvent({ kind: "dial-failed", why: verdict.why, delayMs, again: this.#said(verdict.why) });
        this.#become("connecting", verdict.why);
        return delayMs;
      }
      case "slow": {
        const { error, refused } = verdict;
        const delayMs = this.#slowDelay(error, refused);
        onEvent({ kind: "refused", error, delayMs, again: this.#said(error.message) });
        this.#become(refused ? "refused" : "connecting", error.message);
        return delayMs;
      }
    }
  }

  /** A minute, or what is left of the patience with a control plane that doesn't want us; then its refusal. */
  #slowDelay(error: OperatorError, refused: boolean): number {
    const { exitWhenRefusedMs, timing } = this.#options;
    const delayMs = this.#slow.next();
    if (!refused || exitWhenRefusedMs === undefined) return delayMs;
    const nowMs = timing.clock.monotonic();
    this.#refusedSinceMs ??= nowMs;
    const leftMs = this.#refusedSinceMs + exitWhenRefusedMs - nowMs;
    if (leftMs <= 0) throw error;
    return Math.min(delayMs, leftMs);
  }

  /** Lets calls use a new connection until it ends or goes away. */
  async #session(
    { connection, info }: Dialled & { ok: true },
    renewed: boolean,
    scope: Scope,
    signal: AbortSignal,
  ): Promise<void> {
    const { timing, onEvent } = this.#options;
    const { mux, serverVersion, apiVersion } = connection.parts;
    const startMs = timing.clock.monotonic();
    const older = [...this.#connections];
    this.#connections.add(connection);
    void mux.ended.then(() => this.#connections.delete(connection));
    this.#state = { ...this.#state, apiVersion, ...(serverVersion === undefined ? {} : { serverVersion }) };
    const { fetch, agent, extra } = this.#dialer;
    this.#scripts.connected({ fetch, agent, extra, serverVersion, externalUrl: info.externalUrl }, scope.signal);
    if (!this.#hadSuccess || renewed) scope.start((life) => this.#learnKey(life));
    this.#hadSuccess = true;
    this.#refusedSinceMs = undefined;
    this.#lastWords = "";
    this.#become("connected");
    const { sinceMs, dials: tries } = this.#outage;
    onEvent({ kind: "connected", serverVersion, apiVersion, tries, afterMs: startMs - sinceMs });
    this.#slot.put(connection);
    this.#gate.open();
    for (const each of older) {
      each.retire();
      void each.idle.then(() => each.parts.mux.close());
    }

    const end = await sessionEnd(connection, timing.clock, this.#ready.signal, signal);
    const lastedMs = timing.clock.monotonic() - startMs;
    this.#outage = { sinceMs: timing.clock.monotonic(), dials: 0 };
    if (lastedMs >= goodSessionMs) this.#normal.reset();
    if (end.kind === "succeeded") return;
    if (end.kind === "going-away") return onEvent({ kind: "going-away" });
    this.#become("connecting", end.why);
    onEvent({ kind: "lost", why: end.why, lastedMs });
  }

  /** Asks for the key's details until there is an answer: for people, the work goes on without them. */
  async #learnKey(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(curves.dial, this.#options.timing.random);
    for (;;) {
      await pause(this.#options.timing, backoff.next(), signal);
      const answer = await this.#dialer.keyDetails(signal).catch(() => ({ status: 503, details: undefined }));
      signal.throwIfAborted();
      if (answer && passesWithTime(answer.status)) continue;
      const keyDetails = answer?.details;
      if (!keyDetails) return;
      this.#state = { ...this.#state, keyDetails };
      return this.#options.onEvent({ kind: "key", details: keyDetails });
    }
  }

  #become(kind: LinkState["kind"], lastError?: string): void {
    const since = kind === this.#state.kind ? this.#state.since : this.#options.timing.clock.now();
    this.#state = { ...this.#state, kind, since, ...(lastError === undefined ? {} : { lastError }) };
  }

  /** Whether these words were the last that were said about a failed dial. */
  #said(words: string): boolean {
    const again = words === this.#lastWords;
    this.#lastWords = words;
    return again;
  }
}

type SessionEnd = { kind: "ended"; why: string | undefined } | { kind: "going-away" } | { kind: "succeeded" };

/** Resolves when a connection takes no new calls; rejects with the signal's reason. */
function sessionEnd(
  { parts: { mux } }: Connection,
  clock: Clock,
  successor: AbortSignal,
  signal: AbortSignal,
): Promise<SessionEnd> {
  return new Promise((resolve, reject) => {
    let timer: Disposable | undefined;
    const settle = (action: () => void) => {
      timer?.[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
      successor.removeEventListener("abort", onSuccessor);
      action();
    };
    const onAbort = () => settle(() => reject(signal.reason));
    const onSuccessor = () => settle(() => resolve({ kind: "succeeded" }));
    const look = () => {
      if (mux.goingAway) return settle(() => resolve({ kind: "going-away" }));
      timer = clock.after(goAwayPollMs, look);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    void mux.ended.then((error) => settle(() => resolve({ kind: "ended", why: error?.message })));
    successor.addEventListener("abort", onSuccessor, { once: true });
    if (signal.aborted) onAbort();
    else if (successor.aborted) onSuccessor();
    else look();
  });
}
