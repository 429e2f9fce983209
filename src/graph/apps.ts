import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  type App,
  AppOpenIn,
  AppSchema,
  AppSharingLevel,
  type Healthcheck,
  HealthcheckSchema,
} from "../gen/provisioner_pb.ts";
import { Attributes } from "./attributes.ts";
import type { Home } from "./devcontainers.ts";
import type { Resource } from "./documents.ts";
import { appSlugs } from "./names.ts";
import type { Owners } from "./owners.ts";
import type { Template } from "./table.ts";

const sharingLevels = new Map([
  ["authenticated", AppSharingLevel.AUTHENTICATED],
  ["public", AppSharingLevel.PUBLIC],
]);

/**
 * Puts each `coder_app` under the first agent or devcontainer that it belongs to; slugs are checked whether or not there is
 * one (spec/04 §2.3, §3.3).
 * @throws GraphError `decode_app`, `app_slug_regex`, `duplicate_app_slug`
 */
export function attachApps({ table }: Template, homes: Owners<Home>): void {
  const checkSlug = appSlugs();
  for (const resource of table.ofType("coder_app")) {
    const { app, agentId } = decodeApp(resource);
    checkSlug(app.slug);
    // Every app of a plan is without an id: nobody is told.
    if (app.id === "") app.id = randomUUID();
    const [home] = homes.of(resource, agentId);
    if (home?.kind === "agent") home.agent.apps.push(app);
    else home?.devcontainer.apps.push(app);
  }
}

function decodeApp(resource: Resource): { app: App; agentId: string } {
  const values = new Attributes(resource.values(), "decode_app", "decode app attributes");
  const slug = values.string("slug") || resource.name;
  const [healthcheck] = values.blocks("healthcheck").map(decodeHealthcheck);
  const app = create(AppSchema, {
    id: values.string("id"),
    slug,
    displayName: values.string("display_name") || values.string("name") || slug,
    command: values.string("command"),
    url: values.string("url"),
    external: values.bool("external"),
    icon: values.string("icon"),
    subdomain: values.bool("subdomain"),
    sharingLevel: sharingLevels.get(values.string("share").toLowerCase()) ?? AppSharingLevel.OWNER,
    order: values.int64("order"),
    group: values.string("group"),
    hidden: values.bool("hidden"),
    openIn: values.string("open_in").toLowerCase() === "tab" ? AppOpenIn.TAB : AppOpenIn.SLIM_WINDOW,
    tooltip: values.string("tooltip"),
    ...(healthcheck && { healthcheck }),
  });
  // Decoded even where the display name is given: a wrong type is an error all the same.
  values.string("name");
  return { app, agentId: values.string("agent_id") };
}

function decodeHealthcheck(block: Attributes): Healthcheck {
  return create(HealthcheckSchema, {
    url: block.string("url"),
    interval: block.int32("interval"),
    threshold: block.int32("threshold"),
  });
}
