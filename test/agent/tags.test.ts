import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { completeTags, matchTags, type Tags, takesWords } from "../../src/agent/tags.ts";
import { completeTags as planeCompletes, tagsMatch } from "../../src/plane/tags.ts";

const user = "11111111-1111-4111-8111-111111111111";
const other = "22222222-2222-4222-8222-222222222222";
const org = { scope: "organization", owner: "" };
const own = { scope: "user", owner: user };

describe("which jobs an agent takes", () => {
  const table: [string, Tags, Tags, boolean][] = [
    ["untagged, untagged", org, org, true],
    ["untagged, with a tag", org, { ...org, a: "1" }, false],
    ["a, a", { ...org, a: "1" }, { ...org, a: "1" }, true],
    ["a, a and b", { ...org, a: "1" }, { ...org, a: "1", b: "2" }, true],
    ["a, none", { ...org, a: "1" }, org, false],
    ["a, another a", { ...org, a: "1" }, { ...org, a: "2" }, false],
    ["user, the same", own, own, true],
    ["user, the same and more", own, { ...own, a: "1" }, true],
    ["user, organization", own, org, false],
    ["user, another user", own, { scope: "user", owner: other }, false],
    ["organization, user", org, own, false],
    ["a name that every object has", { ...org, toString: "x" }, org, false],
  ];
  test.each(table)("job and agent: %s", (_what, job, agent, takes) => {
    expect(matchTags(agent, job).takes).toBe(takes);
  });

  test("the reason names the tag that is missing or different", () => {
    expect(matchTags(completeTags({ region: "us" }), completeTags({ region: "eu" }))).toEqual({
      takes: false,
      why: "the job wants region=eu, and the agent has region=us",
    });
    expect(matchTags(completeTags({}), completeTags({ gpu: "a100" }))).toEqual({
      takes: false,
      why: 'the job wants gpu=a100, and the agent has no tag "gpu"',
    });
    expect(matchTags(completeTags({ gpu: "a100" }), completeTags({}))).toMatchObject({
      why: expect.stringMatching(/no tags.*gpu=a100/),
    });
  });

  test("the embedded control plane, which has a rule of its own, agrees", () => {
    const word = fc.constantFrom("", "a", "b", "user", "organization", user);
    const tags = fc.dictionary(fc.constantFrom("a", "b", "scope", "owner"), word);
    fc.assert(
      fc.property(tags, tags, fc.constantFrom(user, other), (agent, job, who) => {
        const [ours, theirs] = [completeTags(agent, who), planeCompletes(agent, who)];
        expect(ours).toEqual(theirs);
        const complete = completeTags(job, user);
        expect(matchTags(ours, complete).takes).toBe(tagsMatch(theirs, complete));
      }),
    );
  });

  test("completion drops empty values, sets a scope, and gives an owner to users only", () => {
    expect(completeTags({ a: "", b: "1", owner: "x" })).toEqual({ b: "1", scope: "organization", owner: "" });
    expect(completeTags({ scope: "elsewhere" })).toEqual({ scope: "organization", owner: "" });
    expect(completeTags({ scope: "user", owner: other }, user)).toEqual({ scope: "user", owner: user });
  });

  test("words", () => {
    expect(takesWords({ region: "eu" })).toBe(
      "jobs whose tags are all in {region=eu}; no untagged jobs: the key has tags",
    );
    expect(takesWords({ scope: "organization", owner: "", z: "1", a: "2" })).toBe(
      "jobs whose tags are all in {a=2, z=1}; no untagged jobs: the key has tags",
    );
    expect(takesWords({}, "the agent")).toBe("untagged jobs only: the agent has no tags");
    expect(takesWords({ scope: "user" })).toBe("jobs of one user only: the key has scope=user");
  });
});
