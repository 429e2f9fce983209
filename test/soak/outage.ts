import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packTemplate } from "../../src/archive/pack.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { startPlane } from "../../src/plane/plane.ts";
import { jobStatus } from "../../src/plane/rows.ts";
import { Gate } from "../support/gate.ts";
import { fixture, Outpost } from "../support/outpost.ts";

const never = new AbortController().signal;
/** Longer than the outage, so that the apply ends after it. */
const applySeconds = 60;

/**
 * The control plane goes away for `outageMs` in the middle of a real apply: connections reset and refused, or frozen. The
 * build must succeed, its state arrive, and every line of its log stand there once and in order.
 */
export async function outage(how: "cut" | "frozen", outageMs: number): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "outpost-soak-"));
  await using plane = await startPlane({ rateLimitPerMinute: 0 });
  await using gate = new Gate(Number(new URL(plane.url).port));
  await using outpost = new Outpost(["start", "--name", "soak", "--health-address", "off", "--log-format", "human"], {
    CODER_URL: await gate.open(),
    CODER_PROVISIONER_DAEMON_KEY: plane.createKey("soak").secret,
    OUTPOST_STATE_DIRECTORY: join(scratch, "state"),
    OUTPOST_WORK_DIRECTORY: join(scratch, "work"),
    CODER_CACHE_DIRECTORY: join(scratch, "cache"),
  });
  const { archive } = await packTemplate(fixture("slow"));
  const imported = plane.importTemplate({ template: "slow", archive, variables: { seconds: String(applySeconds) } });
  assert.equal((await plane.ended(imported.job.id, never)).error, undefined);
  const { build, job } = plane.createWorkspace({ templateId: imported.template.id, name: "dev" });
  for await (const event of plane.follow(job.id, never)) {
    if (event.kind === "log" && event.log.output.includes("step 3 of")) break;
  }
  if (how === "cut") gate.cut();
  else gate.freeze();
  await systemClock.sleep(outageMs, never);
  gate.restore();
  const ended = await plane.ended(job.id, never);
  assert.equal(jobStatus(ended), "succeeded", `${ended.error}\n${outpost.text}`);
  const state = JSON.parse(Buffer.from(plane.buildRow(build.id).state).toString());
  assert.deepEqual(state.resources.map((resource: { name: string }) => resource.name).sort(), ["first", "slow"]);
  const steps = plane.logs(job.id).flatMap(({ output }) => /step (\d+) of/.exec(output)?.[1] ?? []);
  const said = steps.map(Number).filter((step, index, all) => step !== all[index - 1]);
  assert.deepEqual(
    said,
    Array.from({ length: applySeconds }, (_, index) => index + 1),
    "log lines lost or reordered",
  );
  console.log(
    `      ${how} for ${outageMs / 1000} s: ${steps.length} lines of the apply, state ${plane.buildRow(build.id).state.length} bytes`,
  );
  outpost.kill("SIGTERM");
  assert.equal(await outpost.ended, 0);
  await rm(scratch, { recursive: true, force: true });
}
