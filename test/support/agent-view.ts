import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { vi } from "vitest";
import { AgentView } from "../../src/cli/agent/control.ts";
import { prepareAgent } from "../../src/cli/agent/prepare.ts";
import { AgentBoard } from "../../src/cli/agent/snapshot.ts";
import { resolve } from "../../src/config/resolve.ts";
import { startSettings } from "../../src/config/start-settings.ts";
import { systemClock } from "../../src/kit/clock.ts";
import { RecentLines } from "../../src/observe/snapshot-lines.ts";
import { type Plane, startPlane } from "../../src/plane/plane.ts";

/** A real agent on a real plane, in this process, with all that looks at it from outside. */
export class ViewedAgent implements AsyncDisposable {
  private constructor(
    readonly scratch: string,
    readonly plane: Plane,
    readonly view: AgentView,
    readonly log: RecentLines,
    private readonly end: () => Promise<void>,
  ) {}

  static async start(environment: Record<string, string> = {}): Promise<ViewedAgent> {
    const scratch = await mkdtemp(join(tmpdir(), "outpost-view-"));
    const plane = await startPlane({ rateLimitPerMinute: 0 });
    const { PATH = "", HOME = "" } = process.env;
    const variables = {
      PATH,
      HOME,
      CODER_URL: plane.url,
      CODER_PROVISIONER_DAEMON_KEY: plane.createKey("eu-prod").secret,
      OUTPOST_PROVISIONER_DAEMON_NAME: "viewed",
      OUTPOST_SLOTS: "2",
      OUTPOST_ISOLATION: "none",
      OUTPOST_STATE_DIRECTORY: join(scratch, "state"),
      OUTPOST_CACHE_DIRECTORY: join(scratch, "cache"),
      OUTPOST_WORK_DIRECTORY: join(scratch, "work"),
      ...environment,
    };
    const settings = resolve(startSettings, {}, variables).values;
    const board = new AgentBoard(systemClock);
    const log = new RecentLines(1_000, 1_048_576);
    const agent = await prepareAgent(
      settings,
      {
        environment: variables,
        clock: systemClock,
        random: Math.random,
        version: "1.2.3",
        main: "",
        onFact: board.onFact,
        onDownload: () => undefined,
      },
      new AbortController().signal,
    );
    const view = new AgentView({
      agent,
      board,
      settings,
      version: "1.2.3",
      log,
      clock: systemClock,
      metrics: () => `# ${environment["OUTPOST_HEADER"] ?? ""}\n`,
      doctor: async () => JSON.stringify({ said: environment["OUTPOST_HEADER"] ?? "" }),
    });
    const socket = await view.serve();
    const running = agent.run();
    return new ViewedAgent(scratch, plane, view, log, async () => {
      await socket[Symbol.asyncDispose]();
      agent.lane.descend("stopping");
      await running;
      await agent[Symbol.asyncDispose]();
      await plane.close();
      await rm(scratch, { recursive: true, force: true });
    });
  }

  get stateFolder(): string {
    return join(this.scratch, "state");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

/** Runs a command of ours in this process; answers what it wrote to standard output. */
export async function output(command: Command, ...args: string[]): Promise<string> {
  let text = "";
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await command.exitOverride().parseAsync(args, { from: "user" });
  } finally {
    spy.mockRestore();
  }
  return text;
}
