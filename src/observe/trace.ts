import type { Clock } from "../kit/clock.ts";
import { messageOf } from "../kit/errors.ts";
import { anySignal } from "../kit/signals.ts";
import { post } from "./trace-http.ts";
import { encodeSpans, type Span } from "./trace-otlp.ts";
import type { TraceSettings } from "./trace-settings.ts";

/** Spans wait for a collector that is away up to this many, some 2 MB; further ones are dropped and counted. The value of the standard. */
const maxWaiting = 2_048;
/** So many go in one request, after so long at the latest: the values of the standard. */
const maxBatch = 512;
const batchMs = 5_000;

/**
 * Sends spans to a collector, as OTLP over HTTP with JSON. Nothing waits for it, and nothing fails with it.
 *
 *  - idle: nothing waits
 *  - waiting: a timer runs until the next batch
 *  - sending: one request is under way; it ends by its answer or its time limit
 */
export class TraceExporter implements AsyncDisposable {
  #waiting: Span[] = [];
  #dropped = 0;
  #timer: Disposable | undefined;
  #sending: Promise<void> | undefined;
  #troubled = false;
  /** The end of all requests, also of one that is under way. */
  readonly #end = new AbortController();

  constructor(
    private readonly settings: TraceSettings,
    private readonly clock: Clock,
    /** Told once for each trouble, without secrets; spans go on waiting. */
    private readonly onProblem: (text: string) => void,
  ) {}

  /** Spans that nobody will see. */
  get dropped(): number {
    return this.#dropped;
  }

  add(span: Span): void {
    if (this.#waiting.length >= maxWaiting) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(span);
    if (this.#waiting.length >= maxBatch) this.#wake();
    else this.#timer ??= this.clock.after(batchMs, () => this.#wake());
  }

  /** The end: sends what waits, for at most `limitMs`; the rest is dropped. */
  async close(limitMs = lastMs): Promise<void> {
    using _limit = this.clock.after(limitMs, () => this.#end.abort(new Error("the agent ends")));
    await this.#sending;
    while (this.#waiting.length > 0 && !this.#end.signal.aborted && (await this.#send()));
    this.#dropped += this.#waiting.length;
    this.#waiting = [];
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #wake(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    if (this.#sending) return;
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined;
      // What came meanwhile, or was not taken, waits for the next round.
      if (this.#waiting.length > 0) this.#timer ??= this.clock.after(batchMs, () => this.#wake());
    });
  }

  async #sendAll(): Promise<void> {
    do if (!(await this.#send())) return;
    while (this.#waiting.length >= maxBatch);
  }

  /** One batch; false when the collector is away and it is to be tried again. */
  async #send(): Promise<boolean> {
    const { endpoint, headers, timeoutMs, resource } = this.settings;
    const batch = this.#waiting.slice(0, maxBatch);
    const late = new AbortController();
    using _timeout = this.clock.after(timeoutMs, () => late.abort(new Error(`no answer in ${timeoutMs} ms`)));
    using either = anySignal(late.signal, this.#end.signal);
    try {
      const answer = await post(endpoint, headers.reveal(), encodeSpans(batch, resource), either.signal);
      if (retried.has(answer.status)) throw new Error(`HTTP ${answer.status}`);
      this.#waiting.splice(0, batch.length);
      const ok = answer.status >= 200 && answer.status < 300;
      const lost = ok ? rejectedSpans(answer.body) : batch.length;
      this.#dropped += lost;
      if (lost > 0) this.#problem(`${lost} spans were refused: HTTP ${answer.status}`);
      else this.#troubled = false;
      return true;
    } catch (error) {
      this.#problem(`${messageOf(error)}; they wait`);
      return false;
    }
  }

  #problem(why: string): void {
    if (this.#troubled) return;
    this.#troubled = true;
    this.onProblem(`send traces to ${this.settings.endpoint.host}: ${why}`);
  }
}

/** At the end a collector has this long to take what waits. */
const lastMs = 3_000;

/** Answers that the standard wants repeated. */
const retried: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Spans that a collector took the request for, and not them. */
function rejectedSpans(body: string): number {
  try {
    return Number(JSON.parse(body).partialSuccess?.rejectedSpans) || 0;
  } catch {
    return 0;
  }
}
