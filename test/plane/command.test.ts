import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { ScriptedAgent } from "../support/plane-agent.ts";

test("outpost plane prints URL, organization, key and admin token once, serves, and ends with 0 at SIGTERM", async () => {
  const child = spawn(
    process.execPath,
    [
      "--import",
      "tsx",
      "-e",
      'import("./src/cli/commands/plane.ts").then(({ planeCommand }) => planeCommand().parseAsync(process.argv.slice(1), { from: "user" }))',
      "--",
      "--port",
      "0",
      "--org",
      "acme",
      "--tag",
      "region=eu",
      "--api-version",
      "1.9",
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  try {
    const facts: Record<string, string> = {};
    for await (const line of createInterface(child.stdout)) {
      const [, name, value] = /^(control plane|organization|key|admin token) +(\S+)/.exec(line) ?? [];
      if (name && value) facts[name] = value;
      if (line.startsWith("stop:")) break;
    }
    expect(facts["organization"]).toBe("acme");
    const info = await fetch(`${facts["control plane"]}/api/v2/buildinfo`);
    expect(await info.json()).toMatchObject({ provisioner_api_version: "1.9" });
    const daemons = () =>
      fetch(`${facts["control plane"]}/api/plane/v1/organizations/acme/daemons`, {
        headers: { Authorization: `Bearer ${facts["admin token"]}` },
      });
    const agent = await ScriptedAgent.connect(facts["control plane"] ?? "", facts["key"] ?? "", "d", undefined, "1.9");
    expect(await (await daemons()).json()).toMatchObject([{ daemon: { name: "d", tags: { region: "eu" } } }]);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    await agent[Symbol.asyncDispose]();
  } finally {
    child.kill("SIGKILL");
  }
});
