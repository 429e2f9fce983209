import { expect, test } from "vitest";
import { credentialsFor } from "../../src/agent/job-credentials.ts";
import { JobError } from "../../src/kit/errors.ts";

const job = { id: "a1", kind: "start", forWhom: "ana/dev", template: "k8s v1" };
const never = new AbortController().signal;
const environment = {
  variables: { PATH: process.env["PATH"] ?? "/bin", AWS_REGION: "eu-west-1", AWS_SECRET_ACCESS_KEY: "s3cr3t-value" },
  passed: ["AWS_REGION", "AWS_SECRET_ACCESS_KEY"],
};
const of = (more: { files?: string[]; command?: string }) =>
  credentialsFor({ environment, files: [], command: "", ...more }, job, never);

test("what passes of the environment, with secrets told by their names", async () => {
  const { variables, passed, secrets } = await of({});
  expect(variables).toEqual(environment.variables);
  expect(passed).toEqual(["AWS_REGION", "AWS_SECRET_ACCESS_KEY"]);
  expect(secrets).toEqual(["s3cr3t-value"]);
});

test("a listed file's path stands in its variable", async () => {
  const { variables, passed } = await of({ files: ["KUBECONFIG=/etc/outpost/kube=config"] });
  expect(variables["KUBECONFIG"]).toBe("/etc/outpost/kube=config");
  expect(passed).toContain("KUBECONFIG");
});

test("a command mints credentials for each job, knows whose it is, and all that it prints is secret", async () => {
  const { variables, secrets } = await of({ command: 'echo "TOKEN=minted-for-$OUTPOST_JOB_FOR"; echo EXPIRES=2027' });
  expect(variables["TOKEN"]).toBe("minted-for-ana/dev");
  expect(secrets).toEqual(expect.arrayContaining(["minted-for-ana/dev", "2027"]));
});

test.each([
  ["exit 3", /exit code 3/],
  ["echo no equals sign", /line 1 of the agent's --job-command: must be NAME=VALUE/],
  ["yes NAME=VALUE", /printed more than 65536 bytes/],
])("a command that fails (%s) fails the job in words", async (command, words) => {
  await expect(of({ command })).rejects.toThrow(words);
  await expect(of({ command })).rejects.toThrow(JobError);
});

test("an aborted job ends its command with everything that it started", async () => {
  const controller = new AbortController();
  const running = credentialsFor(
    { environment, files: [], command: "sleep 1000 & sleep 1000" },
    job,
    controller.signal,
  );
  controller.abort(new Error("canceled"));
  await expect(running).rejects.toThrow("canceled");
});
