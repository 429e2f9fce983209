import { headers } from "../contract/identity.ts";
import { limits } from "../contract/limits.ts";
import { versionText } from "../contract/versions.ts";
import type { Request, Route } from "./http.ts";
import { readJson, textOf, textsOf } from "./json-body.ts";
import { createKey, deleteKey, keyOfSecret, listKeys } from "./keys.ts";
import { findOrganization } from "./organizations.ts";
import { HttpRefusal } from "./refusal.ts";
import type { Organization, ProvisionerKey, User } from "./rows.ts";
import { userOfToken, userTokenOf } from "./users.ts";
import type { World } from "./world.ts";

/** What of the deployment these routes show. */
export interface CoderRoutesOptions {
  /** Product version, with a leading `v`. */
  readonly buildVersion: string;
  /** Leave `provisioner_api_version` out of buildinfo, as releases before 2.15 do. */
  readonly hideApiVersion: boolean;
  /** Off: the route is unknown, as on servers that do not have it. */
  readonly initScript: boolean;
  readonly entitled: () => boolean;
  readonly deploymentId: string;
}

const maxJsonBytes = 65_536;

/** The routes of the real server that agents and key administration need (spec/01 §1.7, §1.13). */
export function coderRoutes(world: World, options: CoderRoutesOptions): Route[] {
  const routes: Route[] = [
    { method: "GET", path: "/api/v2/buildinfo", handle: () => ({ json: buildInfo(world, options) }) },
    {
      method: "GET",
      path: "/api/v2/users/me/organizations",
      handle: (request) => {
        mustUser(world, request);
        return { json: [...world.store.organizations.all()].map(toOrganization) };
      },
    },
    {
      method: "POST",
      path: "/api/v2/organizations/:org/provisionerkeys",
      handle: async (request) => {
        const organization = keyAdministration(world, request, options);
        const body = await readJson(request, maxJsonBytes);
        const { secret } = createKey(world, organization.id, {
          name: textOf(body, "name"),
          tags: textsOf(body, "tags"),
        });
        return { status: 201, json: { key: secret } };
      },
    },
    {
      method: "GET",
      path: "/api/v2/organizations/:org/provisionerkeys",
      handle: (request) => ({ json: listKeys(world, keyAdministration(world, request, options).id).map(toKeyDetails) }),
    },
    {
      method: "DELETE",
      path: "/api/v2/organizations/:org/provisionerkeys/:name",
      handle: (request) => {
        deleteKey(world, keyAdministration(world, request, options).id, request.param("name"));
        return { status: 204 };
      },
    },
  ];
  // Key details came with release 2.18, the last that speaks 1.1 (spec/01 §5.5).
  if (world.apiVersion.minor >= 1) {
    routes.push({
      method: "GET",
      path: "/api/v2/provisionerkeys/:any",
      handle: (request) => ({ json: toKeyDetails(keyOfRequest(world, request)) }),
    });
  }
  if (options.initScript) {
    routes.push({
      method: "GET",
      path: "/api/v2/init-script/:os/:arch",
      handle: (request) => ({ text: initScript(world.url, request.param("os"), request.param("arch")) }),
    });
  }
  return routes;
}

function buildInfo(world: World, { buildVersion, hideApiVersion, deploymentId }: CoderRoutesOptions) {
  return {
    external_url: "https://github.com/coder/coder",
    version: buildVersion,
    dashboard_url: world.url,
    telemetry: false,
    workspace_proxy: false,
    agent_api_version: "2.0",
    ...(hideApiVersion ? {} : { provisioner_api_version: versionText(world.apiVersion) }),
    upgrade_message: "",
    deployment_id: deploymentId,
  };
}

/** The key in the header; the path says nothing (spec/01 §1.7). */
function keyOfRequest(world: World, { header }: Request): ProvisionerKey {
  const secret = header(headers.key);
  if (!secret) throw new HttpRefusal(401, "Provisioner key required.");
  if (header(headers.psk)) throw new HttpRefusal(400, "Provisioner key and PSK both provided, only one is allowed.");
  if (secret.length !== limits.keyChars) {
    throw new HttpRefusal(400, "Provisioner key invalid.", { detail: `it must have ${limits.keyChars} characters` });
  }
  const key = keyOfSecret(world, secret);
  if (!key) throw new HttpRefusal(401, "Provisioner key not found.");
  return key;
}

/** The user of a request. Throws HttpRefusal 401 without one. */
export function mustUser(world: World, request: Request): User {
  const user = userOfToken(world, userTokenOf(request));
  if (!user) throw new HttpRefusal(401, "A valid session token is required.");
  return user;
}

/** The organization whose keys an admin manages. */
function keyAdministration(world: World, request: Request, { entitled }: CoderRoutesOptions): Organization {
  const user = mustUser(world, request);
  if (!entitled())
    throw new HttpRefusal(403, "External provisioner daemons are not part of this deployment's licence.");
  if (!user.admin) throw new HttpRefusal(403, "Only an admin manages provisioner keys.");
  return mustOrganization(world, request.param("org"));
}

/** The organization of a URL's segment. Throws HttpRefusal 404. */
export function mustOrganization(world: World, segment: string): Organization {
  const organization = findOrganization(world, segment);
  if (!organization) throw new HttpRefusal(404, `Organization "${segment}" not found.`);
  return organization;
}

const toOrganization = ({ id, name, isDefault, createdAt }: Organization) => ({
  id,
  name,
  display_name: name,
  is_default: isDefault,
  created_at: new Date(createdAt).toISOString(),
});

/** A key as it may be shown (spec/01 §1.7). */
export const toKeyDetails = ({ id, createdAt, organizationId, name, tags }: ProvisionerKey) => ({
  id,
  created_at: new Date(createdAt).toISOString(),
  organization: organizationId,
  name,
  tags,
});

/** What a workspace's agent would be started by; this plane has no agents to serve, so the script only says so. */
const initScript = (url: string, os: string, arch: string): string => `#!/bin/sh
# Workspace agent for ${os.replace(/[^\w-]/g, "")}/${arch.replace(/[^\w-]/g, "")}
export CODER_AGENT_URL="${url}/"
export CODER_AGENT_AUTH="token"
echo "no workspace agent here: $CODER_AGENT_URL is an embedded control plane (auth: $CODER_AGENT_AUTH)" >&2
`;
