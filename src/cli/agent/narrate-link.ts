import type { Clock } from "../../kit/clock.ts";
import type { LinkEvent } from "../../link/events.ts";
import { failedAgain, type Saying, type Trouble } from "../../observe/repeat.ts";
import type { LinkNews } from "./narrate-voice.ts";

/** Acquires also fail because the connection went: that is told soon after, and then it is the news. */
const afterthoughtMs = 1_000;
/** Acquires that have not failed for so long work again. */
const acquireQuietMs = 60_000;
/** A connection that lasted less is not the end of the trouble: a flapping one is told like any failure that repeats. */
const goodConnectionMs = 60_000;

/**
 * What the connection's events come to, so that an outage is three lines and not three hundred: each trouble in full, a
 * line a minute while it lasts, and one when it is over.
 */
export class LinkStory {
  /** What an outage has cost so far. */
  readonly losses = { lines: 0, results: 0 };
  #connected = false;
  /** Dials that fail, connections that don't last, acquires that fail. */
  #dials: Trouble | undefined;
  #flaps: Trouble | undefined;
  #acquires: Trouble | undefined;
  #acquireTimer: Disposable | undefined;
  #acquiresTold = false;
  /** Whether the outage that lasts was told. */
  #outageTold = false;

  constructor(
    private readonly clock: Clock,
    private readonly say: (event: LinkEvent, news: LinkNews) => void,
  ) {}

  tell(event: LinkEvent): void {
    const nowMs = this.clock.monotonic();
    switch (event.kind) {
      case "dial-failed":
      case "refused": {
        const reason = event.kind === "refused" ? event.error.message : event.why;
        const [trouble, saying] = failedAgain(this.#dials, reason, nowMs);
        this.#dials = trouble;
        if (saying.kind !== "nothing") this.#outageTold = true;
        this.say(event, newsOf(saying));
        break;
      }
      case "lost": {
        this.#connected = false;
        this.#forgetAcquires();
        if (event.lastedMs >= goodConnectionMs) this.#flaps = undefined;
        const [trouble, saying] = failedAgain(this.#flaps, event.why ?? "", nowMs);
        this.#flaps = trouble;
        this.#outageTold = saying.kind !== "nothing";
        if (this.#outageTold) Object.assign(this.losses, { lines: 0, results: 0 });
        this.say(event, newsOf(saying));
        break;
      }
      case "connected":
        this.#connectedAgain(event);
        break;
      case "acquire-failed":
        this.#acquireFailed(event, nowMs);
        break;
      default:
        this.say(event, { kind: "new" });
    }
  }

  /** A job came: acquires work. */
  gotJob(): void {
    this.#acquiresOver(this.clock.monotonic());
  }

  #connectedAgain(event: LinkEvent & { kind: "connected" }): void {
    this.#connected = true;
    this.#dials = undefined;
    const { tries, afterMs } = event;
    const { lines, results } = this.losses;
    const parts = [lines && `${lines} log lines`, results && `${results} results not confirmed`].filter(Boolean);
    const lost = parts.join(", ");
    if (this.#outageTold) this.say(event, { kind: "back", tries, lastsMs: afterMs, lost });
    else this.say(event, this.#flaps ? { kind: "said-before" } : { kind: "new" });
    this.#outageTold = false;
  }

  #acquireFailed(event: LinkEvent & { kind: "acquire-failed" }, nowMs: number): void {
    const [trouble, saying] = failedAgain(this.#acquires, event.why, nowMs);
    this.#acquires = trouble;
    if (this.#acquiresTold || saying.kind === "nothing") {
      this.say(event, newsOf(saying));
      if (this.#acquiresTold) this.#watchAcquires();
      return;
    }
    this.#acquireTimer?.[Symbol.dispose]();
    this.#acquireTimer = this.clock.after(afterthoughtMs, () => {
      if (!this.#connected) {
        this.#forgetAcquires();
        return;
      }
      this.#acquiresTold = true;
      this.say(event, newsOf(saying));
      this.#watchAcquires();
    });
  }

  #watchAcquires(): void {
    const lastMs = this.clock.monotonic();
    this.#acquireTimer?.[Symbol.dispose]();
    this.#acquireTimer = this.clock.after(acquireQuietMs, () => this.#acquiresOver(lastMs));
  }

  #acquiresOver(atMs: number): void {
    const trouble = this.#acquires;
    const told = this.#acquiresTold;
    this.#forgetAcquires();
    if (!trouble || !told) return;
    const { tries, sinceMs } = trouble;
    this.say({ kind: "acquire-failed", why: "" }, { kind: "back", tries, lastsMs: atMs - sinceMs, lost: "" });
  }

  #forgetAcquires(): void {
    this.#acquireTimer?.[Symbol.dispose]();
    this.#acquireTimer = undefined;
    this.#acquires = undefined;
    this.#acquiresTold = false;
  }
}

function newsOf(saying: Saying): LinkNews {
  if (saying.kind === "full") return { kind: "new" };
  return saying.kind === "nothing" ? { kind: "said-before" } : saying;
}
