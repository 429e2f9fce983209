import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { statusCommand } from "../../src/cli/commands/status.ts";
import { supportCommand } from "../../src/cli/commands/support.ts";
import { output, ViewedAgent } from "../support/agent-view.ts";

const planted = {
  header: "Bearer planted-header-value",
  command: "planted-in-a-command",
  proxy: "planted%2Fproxy-password",
  cloud: "planted-cloud-secret",
};

test("a support file holds settings, status, versions and log lines, and none of the planted secrets", async () => {
  const before = { ...process.env };
  Object.assign(process.env, {
    HTTPS_PROXY: `http://user:${planted.proxy}@proxy.example.com:3128`,
    AWS_SECRET_ACCESS_KEY: planted.cloud,
  });
  try {
    await using viewed = await ViewedAgent.start({
      OUTPOST_HEADER: `X-Access=${planted.header}`,
      OUTPOST_JOB_COMMAND: `true --token ${planted.command}`,
      OUTPOST_ENGINE_MIRROR: `https://mirror:${planted.command}@mirror.example.com/`,
    });
    const key = viewed.plane.createKey("another").secret;
    for (const secret of Object.values(planted)) viewed.log.add(`link  proxy said ${secret}`);
    viewed.log.add(`decoded ${decodeURIComponent(planted.proxy)}`);
    for (let number = 0; number < 1_200; number++) viewed.log.add(`line ${number}`);
    for (const secret of Object.values(planted)) viewed.log.add(`link  again ${secret}`);
    const out = join(viewed.scratch, "support.tar.gz");
    const said = await output(supportCommand(), "--out", out, "--state-dir", viewed.stateFolder);
    expect(said).toContain("settings.json, status.json, versions.json, log.txt, metrics.txt, doctor.json");
    expect(statSync(out).mode & 0o777).toBe(0o600);
    execFileSync("tar", ["-xzf", out, "-C", viewed.scratch]);
    const read = (name: string) => readFileSync(join(viewed.scratch, "outpost-support", name), "utf8");
    const all = ["settings.json", "status.json", "versions.json", "log.txt", "metrics.txt", "doctor.json"]
      .map(read)
      .join("\n");
    expect(all).not.toMatch(/planted/);
    expect(all).not.toContain(key);
    const settings = JSON.parse(read("settings.json"));
    expect(settings).toMatchObject({
      key: "[secret]",
      psk: "",
      headers: ["X-Access=[secret]"],
      jobCommand: "true [secret]",
      engineMirror: "https://[secret]@mirror.example.com/",
      slots: 2,
    });
    expect(JSON.parse(read("versions.json"))).toMatchObject({ outpost: "1.2.3", node: process.version });
    expect(JSON.parse(read("status.json")).agent.name).toBe("viewed");
    const lines = read("log.txt").trimEnd().split("\n");
    expect(lines.length).toBe(1_000);
    expect(lines.at(-5)).toBe("line 1199");
    await expect(output(supportCommand(), "--out", out, "--state-dir", viewed.stateFolder)).rejects.toMatchObject({
      code: "OUT-FILE",
    });
    // The address of the page is told to whoever may open the socket, and only where there is a page.
    await expect(output(statusCommand(), "--web", "--state-dir", viewed.stateFolder)).rejects.toThrow("no status page");
    viewed.view.healthAddress = "0.0.0.0:2113";
    expect(await output(statusCommand(), "--web", "--state-dir", viewed.stateFolder)).toBe(
      `http://127.0.0.1:2113/#token=${viewed.view.page.token}\n`,
    );
  } finally {
    process.env = before;
  }
});
