import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import type { Command } from "commander";
import { startSettings } from "../../config/start-settings.ts";
import { exitCode, messageOf, OperatorError } from "../../kit/errors.ts";
import { controlSocket } from "../../observe/control.ts";
import { addSettings, readSettings } from "../command-settings.ts";
import { chooseFolders } from "./folders.ts";

/** An agent that lives answers in milliseconds; a stopped one (SIGSTOP) never. */
const answerMs = 10_000;
/** No answer is longer: the largest is a support bundle. */
const maxAnswerBytes = 64 * 1024 ** 2;

const settings = { stateFolder: startSettings.stateFolder };

/** Adds `--state-dir`, which says which agent is meant. */
export const addAgentChoice = (command: Command): Command => addSettings(command, settings);

/** The control socket of the agent that the command line means: the same folder that `outpost start` would choose. */
export function chosenSocket(command: Command, environment: NodeJS.ProcessEnv): string {
  const { values } = readSettings(command, settings, environment);
  const { state } = chooseFolders({ cache: "", state: values.stateFolder, work: "" }, environment);
  return join(state, controlSocket);
}

/** Sends a request to the agent; the answer's body is not read yet. Throws OperatorError where nobody answers. */
export function send(
  socketPath: string,
  method: "GET" | "POST",
  path: string,
  options: { body?: unknown; patient?: boolean } = {},
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const body = options.body === undefined ? "" : JSON.stringify(options.body);
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const asking = request({ socketPath, method, path, headers }, resolve);
    if (!options.patient)
      asking.setTimeout(answerMs, () => asking.destroy(new Error(`no answer for ${answerMs / 1_000} s`)));
    asking.on("error", (error) => reject(noAgent(socketPath, error)));
    asking.end(body);
  });
}

/** Sends a request and reads its JSON answer; what the agent refuses in words is an OperatorError with exit code 1. */
export async function ask<T>(...args: Parameters<typeof send>): Promise<T> {
  const response = await send(...args);
  let text = "";
  try {
    for await (const chunk of response.setEncoding("utf8")) {
      text += String(chunk);
      if (text.length > maxAnswerBytes) throw new Error(`an answer of more than ${maxAnswerBytes} bytes`);
    }
  } catch (error) {
    throw noAgent(args[0], error);
  }
  if (response.statusCode !== 200) throw refusal(text);
  return JSON.parse(text) as T;
}

/** The lines of an answer as they come; throws OperatorError when the agent ends before its answer does. */
export async function* linesOf(socketPath: string, response: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  try {
    for await (const chunk of response.setEncoding("utf8")) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch (error) {
    throw noAgent(socketPath, error);
  }
}

/** The agent's no, in its words. */
export function refusal(text: string): OperatorError {
  let words = text;
  try {
    words = String((JSON.parse(text) as { error?: unknown }).error ?? text);
  } catch {
    // Then it is no JSON, and its text counts.
  }
  return new OperatorError(words, { code: "OUT-NOT-DONE", exit: exitCode.failed, cure: "outpost status" });
}

function noAgent(socketPath: string, error: unknown): OperatorError {
  const { code } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: "there is no such socket: no agent runs with this state folder",
    ECONNREFUSED: "the agent that made this socket has ended",
    EACCES: "the agent runs as another user",
    ECONNRESET: "the agent ended while it was asked",
  };
  return new OperatorError(`no agent answers at "${socketPath}"`, {
    code: "OUT-NO-AGENT",
    reason: reasons[code ?? ""] ?? messageOf(error),
    cure: "run this beside the agent, as its user, with the same --state-dir (or OUTPOST_STATE_DIRECTORY)",
    exit: exitCode.unreachable,
    cause: error,
  });
}
