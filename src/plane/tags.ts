import { nilUuid } from "../contract/identity.ts";
import type { Tags } from "./rows.ts";

/** Completes a tag set: spec/01 §1.9. `userId` is absent with a key or a PSK. */
export function completeTags(tags: Tags, userId: string = nilUuid): Tags {
  const completed = Object.fromEntries(Object.entries(tags).filter(([, value]) => value !== ""));
  if (completed["scope"] !== "user") completed["scope"] = "organization";
  completed["owner"] = completed["scope"] === "user" ? userId : "";
  return completed;
}

/** May a daemon with these tags run a job with those? Both sets are complete (spec/02 §5.2). */
export function tagsMatch(daemon: Tags, job: Tags): boolean {
  const untagged = Object.keys(job).length === 2 && job["scope"] === "organization" && job["owner"] === "";
  if (untagged && Object.keys(daemon).length !== 2) return false;
  return tagsContain(daemon, job);
}

/** Plain subset, without the exception for untagged jobs: how the real server picks whom to wake (spec/02 §5.2). */
export const tagsContain = (daemon: Tags, job: Tags): boolean =>
  Object.entries(job).every(([key, value]) => Object.hasOwn(daemon, key) && daemon[key] === value);

/** A text that is equal for equal tag sets. */
export const tagsText = (tags: Tags): string =>
  JSON.stringify(Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
