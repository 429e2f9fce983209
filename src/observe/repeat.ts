/** While a trouble lasts, it is mentioned this often. */
const reminderMs = 60_000;

/** So many different reasons of one trouble are told in full: two that alternate are two lines, and a reason that is new each time can't fill the log. */
const maxReasons = 8;

/** A trouble that lasts: undefined while there is none. Times on a monotonic clock. */
export interface Trouble {
  readonly sinceMs: number;
  readonly tries: number;
  readonly saidAtMs: number;
  readonly reasons: readonly string[];
}

/** What to say of one more failure: all of it, only that it lasts, or nothing. */
export type Saying = { kind: "full" } | { kind: "still"; tries: number; lastsMs: number } | { kind: "nothing" };

/** One more failure of the same thing: once in full, then once a minute with count and age. */
export function failedAgain(before: Trouble | undefined, reason: string, nowMs: number): [Trouble, Saying] {
  const { sinceMs, tries, saidAtMs, reasons } = before ?? { sinceMs: nowMs, tries: 0, saidAtMs: nowMs, reasons: [] };
  const trouble = { sinceMs, tries: tries + 1, saidAtMs: nowMs, reasons };
  if (!reasons.includes(reason) && reasons.length < maxReasons)
    return [{ ...trouble, reasons: [...reasons, reason] }, { kind: "full" }];
  if (nowMs - saidAtMs >= reminderMs)
    return [trouble, { kind: "still", tries: trouble.tries, lastsMs: nowMs - sinceMs }];
  return [{ ...trouble, saidAtMs }, { kind: "nothing" }];
}
