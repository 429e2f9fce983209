/** Tags of a job, a key or an agent. */
export type Tags = Readonly<Record<string, string>>;

/** Whether an agent takes a job, and if not, the first reason in words. */
export type Match = { takes: true } | { takes: false; why: string };

/** The user of a credential that has none. */
const nobody = "00000000-0000-0000-0000-000000000000";

/**
 * A tag set as the control plane keeps it: without empty values, with a scope, and with an owner that only scope `user` has
 * (spec/01 §1.9). `userId`: whom scope `user` stands for; a key has nobody, and then no job ever fits.
 */
export function completeTags(tags: Tags, userId: string = nobody): Tags {
  const own = Object.entries(tags).filter(([key, value]) => value !== "" && key !== "scope" && key !== "owner");
  const ofUser = tags["scope"] === "user";
  return Object.fromEntries([...own, ["scope", ofUser ? "user" : "organization"], ["owner", ofUser ? userId : ""]]);
}

/**
 * The rule by which the control plane hands jobs out (spec/02 §5.2); both sets are complete. An untagged job goes to an untagged
 * agent only; any other job goes to an agent that has each of its tags with the same value, and may have more.
 */
export function matchTags(agent: Tags, job: Tags): Match {
  const extra = Object.keys(agent).filter((key) => key !== "scope" && key !== "owner");
  const isUntagged = Object.keys(job).length === 2 && job["scope"] === "organization" && job["owner"] === "";
  if (isUntagged && extra.length > 0) {
    return {
      takes: false,
      why: `the job has no tags: it goes to agents without tags only, and this one has ${list(agent)}`,
    };
  }
  for (const [key, value] of Object.entries(job)) {
    const has = Object.hasOwn(agent, key) ? agent[key] : undefined;
    if (has === value) continue;
    if (key === "scope") return { takes: false, why: `the job is of scope ${value}, the agent of scope ${has}` };
    if (key === "owner") return { takes: false, why: "the job is one user's own, and the agent is not that user's" };
    const instead = has === undefined ? `no tag "${key}"` : `${key}=${has}`;
    return { takes: false, why: `the job wants ${key}=${value}, and the agent has ${instead}` };
  }
  return { takes: true };
}

/** Which jobs come, in one sentence for people. `tags` need not be complete; `holder` is what has them. */
export function takesWords(tags: Tags, holder = "the key"): string {
  const complete = completeTags(tags);
  if (complete["scope"] === "user") return `jobs of one user only: ${holder} has scope=user`;
  const words = list(complete);
  return words === ""
    ? `untagged jobs only: ${holder} has no tags`
    : `jobs whose tags are all in {${words}}; no untagged jobs: ${holder} has tags`;
}

function list(tags: Tags): string {
  return Object.entries(tags)
    .filter(([key]) => key !== "scope" && key !== "owner")
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(", ");
}
