import { Backoff, curves } from "../kit/backoff.ts";
import { messageOf } from "../kit/errors.ts";
import { raceSignal } from "../kit/signals.ts";
import { cleanText } from "../kit/text.ts";
import { passesWithTime } from "./failure.ts";
import type { ExtraHeaders } from "./header-command.ts";
import { type HttpAnswer, mergeHeaders } from "./http.ts";
import type { Fetch } from "./rest.ts";
import { pause, type Timing } from "./timing.ts";

/** Agent bootstrap scripts by `linux_amd64` and so on, with `${ACCESS_URL}` and `${AUTH_TYPE}` for the provider to fill in. */
export type InitScripts = Readonly<Record<string, string>>;

/** All that the coder provider asks for (spec/03 §4.6). */
const platforms = [
  ["linux", "amd64"],
  ["linux", "arm64"],
  ["linux", "armv7"],
  ["darwin", "amd64"],
  ["darwin", "arm64"],
  ["windows", "amd64"],
  ["windows", "arm64"],
] as const;

/** A script is about 3 kB; Linux takes no environment variable above 128 KiB. */
const maxScriptBytes = 131_072;

export interface ScriptSource {
  fetch: Fetch;
  agent: string;
  extra: ExtraHeaders;
  serverVersion: string | undefined;
  externalUrl: string | undefined;
}

/** The control plane's own scripts, fetched once for each of its versions. */
export class InitScriptCache {
  #version: string | undefined;
  #scripts: Promise<InitScripts | undefined> | undefined;

  constructor(readonly timing: Timing) {}

  /** A connection was made: fetches anew if the server's version differs, or isn't known. `signal` is the link's life. */
  connected(source: ScriptSource, signal: AbortSignal): void {
    if (this.#scripts && source.serverVersion && source.serverVersion === this.#version) return;
    this.#version = source.serverVersion;
    this.#scripts = this.#fetchAll(source, signal);
    this.#scripts.catch(() => undefined);
  }

  /** The scripts; undefined when the server doesn't hand any out, or there was no connection yet. */
  async get(signal: AbortSignal): Promise<InitScripts | undefined> {
    return this.#scripts && raceSignal(this.#scripts, signal);
  }

  async #fetchAll(source: ScriptSource, signal: AbortSignal): Promise<InitScripts | undefined> {
    const found: Record<string, string> = {};
    for (const [os, arch] of platforms) {
      const text = await this.#fetchOne(source, `/api/v2/init-script/${os}/${arch}`, signal);
      const script = text === undefined ? undefined : restorePlaceholders(text, source.externalUrl);
      if (script !== undefined) found[`${os}_${arch}`] = script;
    }
    return Object.keys(found).length > 0 ? found : undefined;
  }

  /** Waits out an outage: another text than last time would replace people's machines (spec/03 §4.6). */
  async #fetchOne(
    { fetch, agent, extra }: ScriptSource,
    path: string,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const backoff = new Backoff(curves.dial, this.timing.random);
    const headers = mergeHeaders({ "User-Agent": agent }, extra);
    for (;;) {
      await pause(this.timing, backoff.next(), signal);
      const answer = await fetch(path, { headers, maxBytes: maxScriptBytes }, signal).catch((error: unknown) => {
        signal.throwIfAborted();
        return messageOf(error);
      });
      if (typeof answer === "string" || brokeOff(answer) || passesWithTime(answer.status)) continue;
      // An old server answers 404; a page of HTML comes from one that shows its dashboard for what it doesn't know.
      return answer.status === 200 && !answer.cut && !isHtml(answer) ? cleanText(answer.body) : undefined;
    }
  }
}

/**
 * The final text of a deployment as the template that it was made of: its URL, slash included, becomes `${ACCESS_URL}`, and the
 * `token` in the line that sets CODER_AGENT_AUTH becomes `${AUTH_TYPE}`. Undefined for a text that doesn't name both.
 */
export function restorePlaceholders(text: string, externalUrl: string | undefined): string | undefined {
  const told = /CODER_AGENT_URL\s*=\s*["']?(https?:\/\/[^"'\s]+)/.exec(text)?.[1];
  const url = told ?? (externalUrl && `${externalUrl.replace(/\/+$/, "")}/`);
  if (!url || !text.includes(url)) return undefined;
  const auth = /(CODER_AGENT_AUTH\s*=\s*["']?)token\b/;
  if (!auth.test(text)) return undefined;
  return text.replaceAll(url, () => "${ACCESS_URL}").replace(auth, (_, before: string) => `${before}\${AUTH_TYPE}`);
}

function brokeOff({ cut, body }: HttpAnswer): boolean {
  return cut && body.length < maxScriptBytes;
}

function isHtml({ headers, body }: HttpAnswer): boolean {
  return (
    (headers["content-type"] ?? "").includes("html") || /^\s*<(?:!doctype|html)/i.test(body.toString("latin1", 0, 200))
  );
}
