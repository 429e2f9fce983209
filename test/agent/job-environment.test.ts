import { expect, test } from "vitest";
import { jobEnvironment } from "../../src/agent/job-environment.ts";

const agent = {
  PATH: "/bin",
  HOME: "/home/agent",
  https_proxy: "http://proxy:3128",
  AWS_REGION: "eu-west-1",
  AWS_SECRET_ACCESS_KEY: "aws-secret",
  KUBECONFIG: "/etc/kube/config",
  CODER_URL: "https://c.example",
  CODER_PROVISIONER_DAEMON_KEY: "the-key",
  OUTPOST_SLOTS: "4",
  TF_CLI_ARGS_plan: "-destroy",
  TF_WORKSPACE: "other",
  TF_VAR_region: "eu",
  COPY_OF_KEY: "prefix the-key suffix",
};

test("explicit passes the safe list and what is named, nothing else", () => {
  const { variables, passed } = jobEnvironment("explicit", ["AWS_REGION"], agent, ["the-key"]);
  expect(variables).toEqual({ PATH: "/bin", https_proxy: "http://proxy:3128", AWS_REGION: "eu-west-1" });
  expect(passed).toEqual(["AWS_REGION"]);
});

test("explicit takes a prefix", () => {
  expect(jobEnvironment("explicit", ["AWS_*"], agent, []).passed).toEqual(["AWS_REGION", "AWS_SECRET_ACCESS_KEY"]);
});

test("ambient passes what a template had under the pod's own environment, less ours and the never-list", () => {
  const { variables } = jobEnvironment("ambient", [], agent, ["the-key"]);
  expect(Object.keys(variables).sort()).toEqual([
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "HOME",
    "KUBECONFIG",
    "PATH",
    "TF_VAR_region",
    "https_proxy",
  ]);
});

test("a variable of the never-list passes only when it is named", () => {
  expect(jobEnvironment("ambient", ["TF_WORKSPACE"], agent, []).variables["TF_WORKSPACE"]).toBe("other");
});

test("nothing of ours passes, even when it is named, nor a value that holds one of our secrets", () => {
  const { variables } = jobEnvironment("ambient", ["CODER_URL", "OUTPOST_SLOTS", "COPY_OF_KEY"], agent, ["the-key"]);
  expect(JSON.stringify(variables)).not.toMatch(/CODER_|OUTPOST_|the-key/);
});
