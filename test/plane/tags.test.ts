import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Tags } from "../../src/plane/rows.ts";
import { completeTags, tagsMatch } from "../../src/plane/tags.ts";

const user = "11111111-1111-4111-8111-111111111111";
const other = "22222222-2222-4222-8222-222222222222";

const pairs: { what: string; job: Tags; daemon: Tags; yes: boolean }[] = [
  { what: "untagged job, untagged daemon", job: completeTags({}), daemon: completeTags({}), yes: true },
  {
    what: "untagged job, daemon with an extra tag",
    job: completeTags({}),
    daemon: completeTags({ a: "1" }),
    yes: false,
  },
  { what: "a=1, daemon a=1", job: completeTags({ a: "1" }), daemon: completeTags({ a: "1" }), yes: true },
  { what: "a=1, daemon a=1 b=2", job: completeTags({ a: "1" }), daemon: completeTags({ a: "1", b: "2" }), yes: true },
  { what: "a=1, daemon without a", job: completeTags({ a: "1" }), daemon: completeTags({}), yes: false },
  { what: "a=1, daemon a=2", job: completeTags({ a: "1" }), daemon: completeTags({ a: "2" }), yes: false },
  {
    what: "user job, the user's daemon",
    job: completeTags({ scope: "user" }, user),
    daemon: completeTags({ scope: "user" }, user),
    yes: true,
  },
  {
    what: "user job, the user's daemon with an extra tag",
    job: completeTags({ scope: "user" }, user),
    daemon: completeTags({ scope: "user", a: "1" }, user),
    yes: true,
  },
  {
    what: "user job, organization daemon",
    job: completeTags({ scope: "user" }, user),
    daemon: completeTags({}),
    yes: false,
  },
  {
    what: "user job, another user's daemon",
    job: completeTags({ scope: "user" }, user),
    daemon: completeTags({ scope: "user" }, other),
    yes: false,
  },
  {
    what: "organization job, user daemon",
    job: completeTags({}),
    daemon: completeTags({ scope: "user" }, user),
    yes: false,
  },
  {
    what: "organization job a=1, user daemon a=1",
    job: completeTags({ a: "1" }),
    daemon: completeTags({ scope: "user", a: "1" }, user),
    yes: false,
  },
];

describe("02#67 every pair of the match table", () => {
  test.each(pairs)("02#67 $what: $yes", ({ job, daemon, yes }) => {
    expect(tagsMatch(daemon, job)).toBe(yes);
  });
});

test("01#36 tags {} complete to {scope: organization, owner: ''} and match untagged jobs exactly and nothing else", () => {
  expect(completeTags({})).toEqual({ scope: "organization", owner: "" });
  fc.assert(
    fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.string()), (tags) => {
      const job = completeTags(tags, user);
      expect(tagsMatch(completeTags({}), job)).toBe(Object.keys(job).length === 2 && job["scope"] === "organization");
    }),
  );
});

test("01#30 a tag with an empty value is dropped, an unknown scope becomes organization, a sent owner does not count", () => {
  expect(completeTags({ a: "", scope: "galaxy", owner: "me" }, user)).toEqual({ scope: "organization", owner: "" });
  expect(completeTags({ scope: "user", owner: "me" }, user)).toEqual({ scope: "user", owner: user });
});

test("a tag named like a member of every object is an ordinary tag", () => {
  expect(tagsMatch(completeTags({}), completeTags({ constructor: "x" }))).toBe(false);
});
