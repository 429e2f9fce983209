import { serveSession } from "../../src/session/host.ts";
import { nodeStream } from "../../src/wire/stdio.ts";
import { type Script, scriptedSession } from "./session-provisioner.ts";

// A worker of its own process: the session is on stdin and stdout, the script comes as the settings.
const script = (settings: Uint8Array) => JSON.parse(new TextDecoder().decode(settings)) as Script;
await serveSession(
  nodeStream(process.stdin, process.stdout),
  (settings) => scriptedSession(script(settings)),
  new AbortController().signal,
);
process.exit(0);
