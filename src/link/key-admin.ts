import { headers as headerNames } from "../contract/identity.ts";
import type { Clock } from "../kit/clock.ts";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import { Secret } from "../kit/secret.ts";
import { cleanText } from "../kit/text.ts";
import type { Connector } from "./connector.ts";
import type { Deployment } from "./deployment.ts";
import { describeBody, parseErrorBody } from "./error-body.ts";
import { failureOf } from "./failure.ts";
import type { ExtraHeaders } from "./header-command.ts";
import { type HttpAnswer, mergeHeaders, send } from "./http.ts";
import type { KeyDetails } from "./rest.ts";

export interface KeyAdminOptions {
  deployment: Deployment;
  connector: Connector;
  headers: ExtraHeaders;
  /** Of a user who may manage provisioner keys. */
  token: Secret;
  /** Name or id. */
  organization: string;
  userAgent: string;
  clock: Clock;
}

/** A few thousand keys with their tags; more than that is no organization that anybody looks at as a list. */
const maxBytes = 1_048_576;

/** The provisioner keys of one organization (spec/01 §1.7). Everything throws OperatorError in the words of who must act. */
export class KeyAdmin {
  readonly #options: KeyAdminOptions;

  constructor(options: KeyAdminOptions) {
    this.#options = options;
  }

  get organization(): string {
    return this.#options.organization;
  }

  /** Makes a key and answers its secret, which is told this once. */
  async create(name: string, tags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Secret> {
    const what = `create key "${name}"`;
    const answer = await this.#call("POST", "", JSON.stringify({ name, tags }), what, signal);
    const key = answer.status === 201 ? (parseJson(answer.body) as { key?: unknown } | undefined)?.key : undefined;
    if (typeof key !== "string") throw this.#refusal(what, answer);
    return new Secret(key);
  }

  /** All keys, oldest first. */
  async list(signal: AbortSignal): Promise<KeyDetails[]> {
    const what = "list keys";
    const answer = await this.#call("GET", "", "", what, signal);
    const json = answer.status === 200 ? parseJson(answer.body) : undefined;
    if (!Array.isArray(json)) throw this.#refusal(what, answer);
    return json.map((each: Record<string, unknown>) => ({
      id: String(each["id"] ?? ""),
      name: String(each["name"] ?? ""),
      organizationId: String(each["organization"] ?? ""),
      createdAt: Date.parse(String(each["created_at"])),
      tags: Object.fromEntries(Object.entries(each["tags"] ?? {}).map(([key, value]) => [key, String(value)])),
    }));
  }

  /** Deletes a key and the rows of the daemons that registered with it last; their connections go on. */
  async delete(name: string, signal: AbortSignal): Promise<void> {
    const what = `delete key "${name}"`;
    const answer = await this.#call("DELETE", `/${encodeURIComponent(name)}`, "", what, signal);
    if (answer.status !== 204) throw this.#refusal(what, answer);
  }

  async #call(
    method: "GET" | "POST" | "DELETE",
    path: string,
    body: string,
    what: string,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { deployment, connector, headers, token, organization, userAgent, clock } = this.#options;
    const start = `/api/v2/organizations/${encodeURIComponent(organization)}/provisionerkeys`;
    const own = {
      [headerNames.sessionToken]: token.reveal(),
      "User-Agent": userAgent,
      ...(body ? { "Content-Type": "application/json" } : {}),
    };
    const options = { connector, headers: mergeHeaders(own, headers), maxBytes, clock };
    try {
      return await send(method, new URL(start + path, deployment.origin), options, body, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { kind } = failureOf(error);
      throw new OperatorError(`${what} at ${deployment.origin.href}: ${messageOf(error)}`, {
        code: kind === "certificate" ? "OUT-TLS" : kind === "proxy" ? "OUT-PROXY" : "OUT-UNREACHABLE",
        cure: "outpost doctor looks at the way there",
        exit: exitCode.unreachable,
        cause: error,
      });
    }
  }

  #refusal(what: string, { status, headers, body }: HttpAnswer): OperatorError {
    const { organization, deployment } = this.#options;
    const told = describeBody(parseErrorBody(body));
    const words = `${what} in organization "${organization}": the control plane answered ${status}${told ? `: ${told}` : ""}`;
    const refused = (code: string, cure: string) => new OperatorError(words, { code, cure, exit: exitCode.refused });
    switch (status) {
      case 400:
        return refused("OUT-KEY-NAME", "a name of 1 to 64 characters that isn't built-in, user-auth or psk");
      case 401:
        return refused("OUT-TOKEN", "a user's token in CODER_SESSION_TOKEN or --token: coder tokens create");
      case 403:
        return refused(
          "OUT-LICENCE",
          "the token of an owner or organization admin; a licence with external provisioners",
        );
      case 404:
        return refused("OUT-KEY-NAME", "look at the names of organization and key: outpost keys list --org ORG");
      case 409:
        return refused("OUT-KEY-NAME", "another name; what there is: outpost keys list --org ORG");
      default:
        return new OperatorError(words, {
          code: "OUT-NOT-CODER",
          reason: headers.location
            ? `it redirects to ${headers.location}`
            : `${deployment.origin.href} isn't Coder, or in trouble`,
          cure: "look at --url, or try again later",
          exit: exitCode.unreachable,
        });
    }
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(cleanText(body));
  } catch {
    return undefined;
  }
}
