import type { Clock } from "../kit/clock.ts";
import { messageOf, type OperatorError } from "../kit/errors.ts";
import type { Secret } from "../kit/secret.ts";
import type { KeySource } from "./key-source.ts";

/** What of a key must stay when it is replaced. */
export interface KeyFacts {
  name: string;
  organizationId: string;
  tags: Readonly<Record<string, string>>;
}

/** What the control plane says about a key; `unasked` where it can't tell (releases before 2.18). */
export type KeyAnswer =
  | { kind: "known"; facts: KeyFacts }
  | { kind: "refused"; error: OperatorError }
  | { kind: "unasked" }
  | { kind: "unreachable"; why: string };

/** A connection that is made with a key. */
export interface KeyedLink {
  /** Asks for a key's details, whether or not it is the one in use. Throws OperatorError for what can't be a key. */
  ask(key: Secret, signal: AbortSignal): Promise<KeyAnswer>;
  /** Dials with the key and moves over to it; else the reason, and nothing has changed. */
  renew(key: Secret, signal: AbortSignal): Promise<string | undefined>;
  /** No more jobs until a handshake succeeds; running ones go on. The key is asked for again in `nextMs`. */
  hold(error: OperatorError, nextMs: number): void;
  /** There was a connection: until then the link itself judges the key. */
  readonly connected: boolean;
  /** Of the key in use, as far as it is known. */
  readonly facts: KeyFacts | undefined;
}

export interface RotationOptions {
  key: Secret;
  source: KeySource;
  /** At least one; all use the same key. */
  links: readonly KeyedLink[];
  clock: Clock;
  random: () => number;
  /** Ends `run` with the refusal when the key has been unknown for so long; never when undefined. */
  exitWhenRefusedMs: number | undefined;
  onWarning: (text: string) => void;
}

/** A revoked key is to be noticed within a minute: asked every 30 to 60 s, spread so that a fleet doesn't ask together. */
const leastCheckMs = 30_000;
const spreadCheckMs = 30_000;

/**
 * Keeps the key in use good: takes over another one from its source, and notices when it was revoked.
 *
 *  - good: the key is asked for now and then
 *  - changing: the source has another key, which isn't in use everywhere yet; tried at each check
 *  - refused: the control plane doesn't know the key; no jobs are taken; asked on, for it may be known again or replaced
 */
export class Rotation {
  readonly #options: RotationOptions;
  /** Of each link. */
  readonly #inUse: Secret[];
  #facts: KeyFacts | undefined;
  #wanted: Secret | undefined;
  #refused: { error: OperatorError; sinceMs: number } | undefined;
  #warned = "";
  #hint = false;
  #wake: () => void = () => undefined;

  constructor(options: RotationOptions) {
    this.#options = options;
    this.#inUse = options.links.map(() => options.key);
  }

  /** Runs until the signal aborts; rejects with the refusal where the patience with it has an end. */
  async run(signal: AbortSignal): Promise<void> {
    const watching = this.#options.source.watch(() => {
      this.#hint = true;
      this.#wake();
    }, signal);
    while (!signal.aborted) {
      await this.#sleep(signal);
      if (signal.aborted) break;
      try {
        if (this.#hint) await this.#look(signal);
        if (this.#wanted) await this.#change(this.#wanted, signal);
        await this.#check(signal);
      } catch (error) {
        if (signal.aborted) break;
        throw error;
      }
      this.#endPatience();
    }
    await watching;
  }

  get #nextMs(): number {
    const { clock, random, exitWhenRefusedMs } = this.#options;
    const checkMs = leastCheckMs + spreadCheckMs * random();
    if (!this.#refused || exitWhenRefusedMs === undefined) return checkMs;
    return Math.min(checkMs, Math.max(0, this.#refused.sinceMs + exitWhenRefusedMs - clock.monotonic()));
  }

  /** Until the next check, or a hint of the source. */
  async #sleep(signal: AbortSignal): Promise<void> {
    if (this.#hint) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", end);
        this.#wake = () => undefined;
        resolve();
      };
      const timer = this.#options.clock.after(this.#nextMs, end);
      signal.addEventListener("abort", end, { once: true });
      this.#wake = end;
    });
  }

  /** Reads the source after a hint. What can't be read changes nothing. */
  async #look(signal: AbortSignal): Promise<void> {
    this.#hint = false;
    try {
      const key = await this.#options.source.read(signal);
      this.#wanted = this.#inUse.every((used) => same(used, key)) ? undefined : key;
    } catch (error) {
      signal.throwIfAborted();
      this.#warn(`${messageOf(error)}: the key in use stays`);
    }
  }

  /** Takes a new key into use. One that can't be is given up until the source changes; one that can't be yet is tried again. */
  async #change(key: Secret, signal: AbortSignal): Promise<void> {
    const { links } = this.#options;
    const [first] = links as [KeyedLink];
    const answer = await askSafely(first, key, signal);
    if (answer.kind === "unreachable")
      return this.#warn(`new key: ${answer.why}: tried again; the old one stays in use`);
    // A key may be put in place before it is known everywhere: asked again.
    if (answer.kind === "refused") return this.#warn(`new key: ${answer.error.message}: the old one stays in use`);
    if (answer.kind === "known") {
      const old = await this.#oldFacts(first, signal);
      const words = old && keyDifference(old, answer.facts);
      if (words) {
        this.#wanted = undefined;
        return this.#warn(`new key "${answer.facts.name}" ${words}: refused, the old one stays in use`);
      }
      this.#facts = answer.facts;
    }
    for (const [index, link] of links.entries()) {
      if (same(this.#inUse[index] as Secret, key)) continue;
      const why = await link.renew(key, signal);
      signal.throwIfAborted();
      if (why) return this.#warn(`new key: ${why}: tried again; the old one stays in use`);
      this.#inUse[index] = key;
    }
    this.#wanted = undefined;
    this.#refused = undefined;
    this.#warned = "";
  }

  /** Asks whether the key is still known. */
  async #check(signal: AbortSignal): Promise<void> {
    const { links, clock } = this.#options;
    const [first] = links as [KeyedLink];
    const key = this.#inUse[0] as Secret;
    if (!first.connected) return;
    const answer = await askSafely(first, key, signal);
    if (answer.kind === "known") {
      this.#facts = answer.facts;
      if (!this.#refused) return;
      // Known again: the daemon's row went with the key, and only a new handshake makes one.
      for (const link of links) if (await link.renew(key, signal)) return;
      this.#refused = undefined;
    }
    if (answer.kind !== "refused" || this.#refused) return;
    this.#refused = { error: answer.error, sinceMs: clock.monotonic() };
    for (const link of links) link.hold(answer.error, this.#nextMs);
  }

  #endPatience(): void {
    const { clock, exitWhenRefusedMs } = this.#options;
    if (!this.#refused || exitWhenRefusedMs === undefined) return;
    if (clock.monotonic() - this.#refused.sinceMs >= exitWhenRefusedMs) throw this.#refused.error;
  }

  /** Of the key in use: as last told, else asked for now; undefined where nobody knows. */
  async #oldFacts(link: KeyedLink, signal: AbortSignal): Promise<KeyFacts | undefined> {
    const known = this.#facts ?? link.facts;
    if (known) return known;
    const answer = await askSafely(link, this.#inUse[0] as Secret, signal);
    return answer.kind === "known" ? answer.facts : undefined;
  }

  /** The same words are said once in a row. */
  #warn(text: string): void {
    if (text === this.#warned) return;
    this.#warned = text;
    this.#options.onWarning(text);
  }
}

/** Why a key can't take the place of another, in words; undefined when it can. Its name and its age don't count. */
export function keyDifference(old: KeyFacts, fresh: KeyFacts): string | undefined {
  if (old.organizationId !== fresh.organizationId)
    return `belongs to organization ${fresh.organizationId}, the one in use to ${old.organizationId}`;
  const before = tagWords(old.tags);
  const after = tagWords(fresh.tags);
  return before === after ? undefined : `has ${after}, the one in use has ${before}`;
}

function tagWords(tags: Readonly<Record<string, string>>): string {
  const words = Object.entries(tags).map(([key, value]) => `${key}=${value}`);
  return words.length === 0 ? "no tags" : `the tags ${words.sort().join(", ")}`;
}

function same(a: Secret, b: Secret): boolean {
  return a.reveal() === b.reveal();
}

/** What isn't even a key, or can't be asked for now, leaves everything as it is. */
async function askSafely(link: KeyedLink, key: Secret, signal: AbortSignal): Promise<KeyAnswer> {
  try {
    return await link.ask(key, signal);
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "unreachable", why: messageOf(error) };
  }
}
