import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StepError } from "../../src/contract/step-error.ts";
import { LogLevel, MetadataSchema } from "../../src/gen/provisioner_pb.ts";
import { JobError } from "../../src/kit/errors.ts";
import type { InitInput, LogLine, PlanInput, Provisioner, Session } from "../../src/session/types.ts";
import { filled, type Script, scriptedSession, text } from "../support/session-provisioner.ts";
import { childWorker, memoryWorker } from "../support/session-workers.ts";

const never = new AbortController().signal;
const metadata = create(MetadataSchema, { workspaceName: "box" });
const planInput = (state: Uint8Array = new Uint8Array()): PlanInput => ({
  metadata,
  variableValues: [],
  richParameterValues: [],
  previousParameterValues: [],
  externalAuthProviders: [],
  state,
});
const initInput: InitInput = {
  templateArchive: filled(3_000),
  moduleArchive: new Uint8Array(),
  omitModuleFiles: false,
};

const implementations: Record<string, (script: Script) => Provisioner> = {
  "in process": scriptedSession,
  "over a pair of streams": memoryWorker,
  "over a pair of streams, one byte at a time": (script) => memoryWorker(script, { oneByte: true }),
  "over the stdio of a child": childWorker,
};

describe.each(Object.entries(implementations))("a provisioner %s", (name, implementation) => {
  let folder: string;
  let trace: string;
  const logs: LogLine[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "session-"));
    trace = join(folder, "trace");
    logs.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const traced = () => (existsSync(trace) ? readFileSync(trace, "utf8").trim().split("\n") : []);
  const open = (steps: Script["steps"], logLevel = ""): Promise<Session> =>
    implementation({ trace, steps: steps ?? {} }).open(
      { logLevel, templateId: "t", templateVersionId: "v", onLog: (line) => logs.push(line) },
      never,
    );

  test("a whole life: each step gets its input and returns its facts, and all its lines come before its answer", async () => {
    const line = (output: string) => ({ level: LogLevel.INFO, output });
    const session = await open({ init: [{ logs: [line("one"), line("two")] }], plan: [{ logs: [line("three")] }] });
    const initialized = await session.init({ ...initInput, moduleArchive: filled(77) }, never);
    expect(logs.map(({ output }) => output)).toEqual(["one", "two"]);
    expect(initialized.facts.modules).toMatchObject([{ key: "3000", source: "77" }]);
    expect(initialized.facts.moduleFiles).toEqual(filled(10));
    expect(initialized.facts.timings).toMatchObject([{ stage: "init" }]);

    const parsed = await initialized.parse(never);
    expect(text("# Read me")).toEqual(parsed.readme);
    expect(parsed.workspaceTags).toEqual({ zone: '"eu"' });

    const planned = await initialized.plan(planInput(text("12345")), never);
    expect(logs.map(({ output }) => output)).toEqual(["one", "two", "three"]);
    expect(planned.facts).toMatchObject({ plan: text("plan of 5 bytes of state"), dailyCost: 7, aiTaskCount: 0 });
    expect((await planned.graph(never)).resources).toMatchObject([{ name: "plan" }]);

    const again = await initialized.plan(planInput(), never);
    const applied = await again.apply(metadata, async () => undefined, never);
    expect(applied).toMatchObject({ state: text("final box"), timings: [{ stage: "apply" }] });
    expect(applied.error).toBeUndefined();
    expect((await applied.graph(never)).resources).toMatchObject([{ name: "state" }]);
    await session[Symbol.asyncDispose]();
    expect(traced().at(-1)).toBe("disposed");
  });

  test("a failure in words keeps its text, its code and its timings", async () => {
    await using session = await open({ plan: [{ error: "no such thing", code: "MISSING_TEMPLATE_PARAMETER" }] });
    const initialized = await session.init(initInput, never);
    const error = await initialized.plan(planInput(), never).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(JobError);
    expect(error).toBeInstanceOf(StepError);
    expect(error).toMatchObject({
      message: "no such thing",
      code: "MISSING_TEMPLATE_PARAMETER",
      timings: [{ stage: "plan" }],
    });
  });

  test("03#3 after a failed Init another one is accepted; 03#2 a failed Plan doesn't take back an earlier one", async () => {
    await using session = await open({ init: [{ error: "no registry" }], plan: [{}, { error: "no" }] });
    await expect(session.init(initInput, never)).rejects.toThrow("no registry");
    const initialized = await session.init(initInput, never);
    const planned = await initialized.plan(planInput(), never);
    await expect(initialized.plan(planInput(), never)).rejects.toThrow("no");
    expect((await planned.apply(metadata, async () => undefined, never)).state).toEqual(text("final box"));
  });

  test("03#5 an aborted signal interrupts the step, which answers with its normal result, and the next step works", async () => {
    await using session = await open({
      apply: [{ untilCanceled: true, error: "interrupted" }, { untilCanceled: true }],
    });
    const initialized = await session.init(initInput, never);
    const planned = await initialized.plan(planInput(), never);

    const failing = new AbortController();
    const failed = planned.apply(metadata, async () => undefined, failing.signal);
    failing.abort(new Error("canceled"));
    expect(await failed).toMatchObject({ error: "interrupted", state: text("final box") });

    const lucky = new AbortController();
    const succeeded = planned.apply(metadata, async () => undefined, lucky.signal);
    lucky.abort(new Error("canceled"));
    const applied = await succeeded;
    expect(applied.error).toBeUndefined();
    lucky.abort(new Error("again"));
    expect((await applied.graph(never)).resources).toMatchObject([{ name: "state" }]);
  });

  test("a signal that was aborted before its step interrupts it at once", async () => {
    await using session = await open({ init: [{ untilCanceled: true }] });
    await session.init(initInput, AbortSignal.abort(new Error("canceled")));
    expect(traced()).toContain("init interrupted");
  });

  test("states come one after the other while the apply runs, the newest always", async () => {
    await using session = await open({ apply: [{ states: ["a", "bb", "ccc"] }] });
    const planned = await (await session.init(initInput, never)).plan(planInput(), never);
    const seen: string[] = [];
    let busy = false;
    await planned.apply(
      metadata,
      async (state) => {
        expect(busy).toBe(false);
        busy = true;
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(new TextDecoder().decode(state));
        busy = false;
      },
      never,
    );
    expect(seen.at(-1)).toBe("ccc");
    expect(["a", "bb", "ccc"].filter((state) => seen.includes(state))).toEqual(seen);
  });

  test.skipIf(name.includes("one byte"))("03#30 a module archive and a state above 4 MiB arrive whole", async () => {
    const big = 9 * 1024 * 1024 + 1;
    await using session = await open({ init: [{ bytes: big }], apply: [{ bytes: big }] });
    const initialized = await session.init({ ...initInput, moduleArchive: filled(big) }, never);
    expect(initialized.facts.modules).toMatchObject([{ source: `${big}` }]);
    expect(Buffer.compare(initialized.facts.moduleFiles, filled(big))).toBe(0);
    const planned = await initialized.plan(planInput(filled(big)), never);
    const { state } = await planned.apply(metadata, async () => undefined, never);
    expect(Buffer.compare(state, filled(big))).toBe(0);
  });

  test("03#30 with omit set no module archive comes back", async () => {
    await using session = await open({});
    const initialized = await session.init({ ...initInput, omitModuleFiles: true }, never);
    expect(initialized.facts.moduleFiles.length).toBe(0);
  });

  test("03#6 disposing ends a running step, and the session's folder goes after the step has ended", async () => {
    const session = await open({ plan: [{ untilCanceled: true }] });
    const initialized = await session.init(initInput, never);
    const planning = initialized.plan(planInput(), never);
    planning.catch(() => undefined);
    await until(() => traced().includes("plan began"));
    await session[Symbol.asyncDispose]();
    await expect(planning).rejects.toThrow();
    const ends = traced().filter((line) => line !== "disposing");
    expect(ends.slice(-3)).toEqual(["plan interrupted", "plan ended", "disposed"]);
  });
});

async function until(fact: () => boolean): Promise<void> {
  while (!fact()) await new Promise((resolve) => setImmediate(resolve));
}
