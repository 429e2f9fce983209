import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pageHtml, pageScript, pageStyle } from "./page/page.ts";
import { type Snapshot, withoutNames } from "./snapshot.ts";

/** The status page and its data, for browsers of this machine only. Nothing here changes anything. */
export class StatusPage {
  /** Shows names of owners and workspaces; new with each start, told by the control socket only. */
  readonly token = randomBytes(24).toString("base64url");
  readonly #page = pageHtml();
  readonly #policy = [
    "default-src 'none'",
    `script-src '${hashOf(pageScript)}'`,
    `style-src '${hashOf(pageStyle)}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");

  constructor(private readonly snapshot: () => Snapshot) {}

  /** Answers `/` and `/status`; false for what is not ours. Only GET and HEAD come here. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const path = request.url?.split("?", 1)[0];
    if (path !== "/" && path !== "/status") return false;
    if (!isLocal(request)) {
      this.#send(response, 403, "text/plain", "the status page is for browsers on this machine: try outpost status\n");
    } else if (path === "/") {
      this.#send(response, 200, "text/html", this.#page);
    } else {
      const snapshot = this.snapshot();
      const shown = this.#mayName(request) ? snapshot : withoutNames(snapshot);
      this.#send(response, 200, "application/json", JSON.stringify(shown));
    }
    return true;
  }

  #mayName({ headers }: IncomingMessage): boolean {
    const given = /^Bearer (\S+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
    // Hashed first: equal lengths, and the time says nothing of either.
    const digest = (text: string) => createHash("sha256").update(text).digest();
    return timingSafeEqual(digest(given), digest(this.token));
  }

  #send(response: ServerResponse, status: number, type: string, body: string): void {
    response.writeHead(status, {
      "content-type": `${type}; charset=utf-8`,
      "content-security-policy": this.#policy,
      "cache-control": "no-store",
      "cross-origin-resource-policy": "same-origin",
      "cross-origin-opener-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
    });
    response.end(body);
  }
}

/**
 * The peer is this machine, and the browser believes so, too: a page of the internet whose name was pointed at 127.0.0.1
 * (DNS rebinding) comes with its own name in `Host`.
 */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  const peer = socket.remoteAddress ?? "";
  const peerIsLocal = peer === "::1" || /^(::ffff:)?127\./.test(peer);
  return peerIsLocal && /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(headers.host ?? "");
}

const hashOf = (text: string) => `sha256-${createHash("sha256").update(text).digest("base64")}`;
