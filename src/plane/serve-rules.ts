import { timingSafeEqual } from "node:crypto";
import { headers } from "../contract/identity.ts";
import { versionRefusal } from "./api-version.ts";
import { sha256 } from "./chance.ts";
import type { Registration } from "./daemons.ts";
import { keyOfSecret } from "./keys.ts";
import { findOrganization } from "./organizations.ts";
import { HttpRefusal } from "./refusal.ts";
import type { Organization, ProvisionerKey, Tags, User } from "./rows.ts";
import { completeTags } from "./tags.ts";
import { type RequestFacts, userOfToken, userTokenOf } from "./users.ts";
import type { World } from "./world.ts";

/** What a request to the serve endpoint says. */
export interface ServeRequest extends RequestFacts {
  /** The organization as it stands in the path. */
  readonly organization: string;
}

/** What the deployment allows. */
export interface ServePolicy {
  /** Does its licence include external daemons? */
  readonly entitled: boolean;
  /** The pre-shared key; empty when none is configured. */
  readonly psk: string;
}

type Credential = { kind: "key"; key: ProvisionerKey } | { kind: "psk" } | { kind: "user"; user: User };

const provisionerTypes: ReadonlySet<string> = new Set(["terraform", "echo"]);

/** Checks 2 to 10 of spec/01 §1.5, in that order: who registers, or an HttpRefusal. The upsert and the upgrade are next. */
export function checkServe(world: World, request: ServeRequest, policy: ServePolicy): Registration {
  const oldest = world.apiVersion.minor === 0;
  if (!policy.entitled)
    throw new HttpRefusal(403, "External provisioner daemons are not part of this deployment's licence.");
  const credential = credentialOf(world, request, policy, oldest ? 403 : 401);
  const organization = organizationOf(world, request, oldest);
  const sent = tagsOf(request.query);
  const provisioners = provisionersOf(request.query);
  authorize(credential, organization, sent);
  for (const text of Object.entries(sent).flat()) {
    if (text.includes("\0"))
      throw new HttpRefusal(400, "Invalid tags.", {
        validations: [{ field: "tags", detail: "a tag holds a NUL byte" }],
      });
  }
  const apiVersion = request.query.get("version") || "1.0";
  // Releases before 2.9 read the version and store it, no more (spec/01 §5.1).
  const refusal = oldest ? undefined : versionRefusal(world.apiVersion, apiVersion);
  if (refusal) {
    throw new HttpRefusal(400, "Incompatible or unparsable version", {
      validations: [{ field: "version", detail: refusal }],
    });
  }
  return {
    organizationId: credential.kind === "key" ? credential.key.organizationId : organization.id,
    name: request.query.get("name") || `daemon-${world.chance.word(8)}`,
    provisioners,
    tags: completeTags(
      credential.kind === "key" ? credential.key.tags : sent,
      credential.kind === "user" ? credential.user.id : undefined,
    ),
    version: request.header(headers.buildVersion) ?? "",
    apiVersion,
    keyId: credential.kind === "key" ? credential.key.id : undefined,
  };
}

/** Exactly one credential; several ways of having none look alike on purpose (spec/01 §1.4). */
function credentialOf(world: World, request: ServeRequest, { psk }: ServePolicy, status: number): Credential {
  const user = userOfToken(world, userTokenOf(request));
  const sentKey = request.header(headers.key);
  const sentPsk = request.header(headers.psk);
  const key = sentKey && !sentPsk ? keyOfSecret(world, sentKey) : undefined;
  const pskIsGood = psk !== "" && sentPsk && !sentKey && isSame(sentPsk, psk);
  if (user && (key || pskIsGood)) {
    throw new HttpRefusal(400, "Both API key and external provisioner authentication provided, only one is allowed.");
  }
  if (user) return { kind: "user", user };
  if (key) return { kind: "key", key };
  if (pskIsGood) return { kind: "psk" };
  throw new HttpRefusal(status, "API key or external provisioner authentication required, but none provided");
}

const isSame = (a: string, b: string) => timingSafeEqual(Buffer.from(sha256(a)), Buffer.from(sha256(b)));

function organizationOf(world: World, { organization }: ServeRequest, ignored: boolean): Organization {
  const found = findOrganization(world, ignored ? "default" : organization);
  if (!found) throw new HttpRefusal(404, `Organization "${organization}" not found.`);
  return found;
}

function tagsOf(query: URLSearchParams): Tags {
  const tags: Record<string, string> = {};
  for (const text of query.getAll("tag")) {
    const split = text.indexOf("=");
    if (split < 0) throw new HttpRefusal(400, `Invalid tag "${text}": must be of the form key=value.`);
    tags[text.slice(0, split)] = text.slice(split + 1);
  }
  return tags;
}

function provisionersOf(query: URLSearchParams): string[] {
  const types = [...new Set(query.getAll("provisioner"))];
  if (types.length === 0) throw new HttpRefusal(400, "The query parameter provisioner is required.");
  for (const type of types) {
    if (!provisionerTypes.has(type)) throw new HttpRefusal(400, `Unknown provisioner type "${type}".`);
  }
  return types;
}

function authorize(credential: Credential, organization: Organization, sent: Tags): void {
  const refuse = (detail: string) => {
    throw new HttpRefusal(403, "Unauthorized", { detail });
  };
  switch (credential.kind) {
    case "key":
      if (Object.keys(sent).length > 0)
        refuse("tags are not allowed together with a provisioner key: the key has them");
      break;
    case "psk":
      if (!organization.isDefault) refuse("the pre-shared key is for the default organization only");
      break;
    case "user":
      if (sent["scope"] !== "user" && !credential.user.admin)
        refuse("the user may not create provisioner daemons in this organization");
  }
}
