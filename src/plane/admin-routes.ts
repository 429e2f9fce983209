import { limits } from "../contract/limits.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import { LogSource } from "../gen/provisionerd_pb.ts";
import { mustOrganization, mustUser, toKeyDetails } from "./coder-routes.ts";
import type { BuildRequest, Desk } from "./desk.ts";
import type { JobEvent } from "./follow.ts";
import type { Request, Route } from "./http.ts";
import { readJson, textOf, textsOf } from "./json-body.ts";
import { HttpRefusal } from "./refusal.ts";
import { type Build, type Job, jobStatus, type TemplateVersion, type Workspace } from "./rows.ts";
import type { World } from "./world.ts";

/** State and archives travel to the agent in one message: a bigger body could not be used. */
const maxBodyBytes = limits.rpcMessageBytes;

/**
 * The plane's own REST API, `/api/plane/v1/…`, for scripts. Every route wants an admin's token, as `Authorization: Bearer`
 * or `Coder-Session-Token`.
 */
export function adminRoutes(world: World, desk: Desk): Route[] {
  const route = (method: string, path: string, handle: Route["handle"]): Route => ({
    method,
    path: `/api/plane/v1${path}`,
    handle: (request) => {
      if (!mustUser(world, request).admin) throw new HttpRefusal(403, "Only an admin may use this API.");
      return handle(request);
    },
  });
  const body = (request: Request) => readJson(request, maxBodyBytes);
  return [
    route("GET", "/organizations", () => ({ json: desk.organizations() })),
    route("POST", "/organizations", async (request) => ({
      status: 201,
      json: desk.createOrganization(textOf(await body(request), "name")),
    })),
    route("GET", "/organizations/:org/keys", (request) => ({
      json: desk.keys(mustOrganization(world, request.param("org")).id).map(toKeyDetails),
    })),
    route("POST", "/organizations/:org/keys", async (request) => {
      const json = await body(request);
      const organization = mustOrganization(world, request.param("org"));
      const key = desk.createKey(textOf(json, "name"), textsOf(json, "tags"), organization.id);
      return { status: 201, json: { ...toKeyDetails(key), key: key.secret } };
    }),
    route("DELETE", "/organizations/:org/keys/:name", (request) => {
      desk.deleteKey(request.param("name"), mustOrganization(world, request.param("org")).id);
      return { status: 204 };
    }),
    route("GET", "/organizations/:org/daemons", (request) => ({
      json: desk.daemons(mustOrganization(world, request.param("org")).id),
    })),
    route("POST", "/organizations/:org/templates/:name/versions", async (request) => {
      const { template, version, job } = desk.importTemplate({
        organizationId: mustOrganization(world, request.param("org")).id,
        template: request.param("name"),
        archive: await request.body(maxBodyBytes),
        tags: pairsOf(request, "tag"),
        variables: pairsOf(request, "var"),
      });
      return { status: 201, json: { template, version: toVersion(version), job: toJob(job) } };
    }),
    route("GET", "/versions/:id", (request) => ({ json: toVersion(desk.version(request.param("id"))) })),
    route("POST", "/versions/:id/dry-runs", async (request) => {
      const json = await body(request);
      const job = desk.dryRun({
        versionId: request.param("id"),
        workspaceName: textOf(json, "workspace_name"),
        parameters: textsOf(json, "parameters"),
      });
      return { status: 201, json: { job: toJob(job) } };
    }),
    route("GET", "/workspaces", () => ({ json: desk.workspaces() })),
    route("POST", "/workspaces", async (request) => {
      const json = await body(request);
      const started = desk.createWorkspace({
        ...buildOptions(json),
        templateId: textOf(json, "template_id"),
        name: textOf(json, "name"),
      });
      return { status: 201, json: toStarted(started) };
    }),
    route("GET", "/workspaces/:id", (request) => ({
      json: { ...desk.workspace(request.param("id")), builds: desk.builds(request.param("id")).map(toBuild) },
    })),
    route("POST", "/workspaces/:id/builds", async (request) => {
      const json = await body(request);
      const transition = textOf(json, "transition");
      if (transition !== "start" && transition !== "stop" && transition !== "delete") {
        throw new HttpRefusal(400, `"transition" is "${transition}": must be start, stop or delete.`);
      }
      const build = desk.build(request.param("id"), {
        ...buildOptions(json),
        transition,
        orphan: json["orphan"] === true,
      });
      return { status: 201, json: toStarted(build) };
    }),
    route("GET", "/builds/:id", (request) => ({ json: toBuild(desk.buildRow(request.param("id"))) })),
    route("GET", "/builds/:id/state", (request) => ({ bytes: desk.buildRow(request.param("id")).state })),
    route("PUT", "/builds/:id/state", async (request) => {
      desk.pushState(request.param("id"), await request.body(maxBodyBytes));
      return { status: 204 };
    }),
    route("GET", "/jobs", () => ({ json: desk.jobs().map(toJob) })),
    route("GET", "/jobs/:id", (request) => ({ json: toJob(desk.job(request.param("id"))) })),
    route("POST", "/jobs/:id/cancel", (request) => ({ json: toJob(desk.cancel(request.param("id"))) })),
    route("GET", "/jobs/:id/follow", (request) => {
      const { id } = desk.job(request.param("id"));
      return { lines: eventLines(desk.follow(id, request.signal)) };
    }),
  ];
}

/** `?tag=key=value`, repeated. */
function pairsOf({ query }: Request, name: string): Record<string, string> {
  return Object.fromEntries(
    query.getAll(name).map((text) => {
      const split = text.indexOf("=");
      if (split < 1) throw new HttpRefusal(400, `?${name}=${text}: must be of the form key=value.`);
      return [text.slice(0, split), text.slice(split + 1)];
    }),
  );
}

function buildOptions(json: Record<string, unknown>): Omit<BuildRequest, "transition"> {
  const logLevel = textOf(json, "log_level");
  if (logLevel !== "" && logLevel !== "debug") throw new HttpRefusal(400, `"log_level" must be empty or debug.`);
  const preset = textOf(json, "preset");
  const versionId = textOf(json, "version_id");
  return {
    parameters: textsOf(json, "parameters"),
    logLevel,
    ...(preset ? { preset } : {}),
    ...(versionId ? { versionId } : {}),
  };
}

async function* eventLines(events: AsyncIterable<JobEvent>): AsyncGenerator<unknown> {
  for await (const event of events) {
    yield event.kind === "status"
      ? event
      : {
          kind: "log",
          created_at: new Date(event.log.createdAt).toISOString(),
          level: LogLevel[event.log.level]?.toLowerCase(),
          source: LogSource[event.log.source]?.toLowerCase(),
          stage: event.log.stage,
          output: event.log.output,
        };
  }
}

const toJob = (job: Job) => ({ ...job, status: jobStatus(job), dryRun: plain(job.dryRun) });

const toVersion = ({ archive, plan, ...rest }: TemplateVersion) => ({
  ...(plain(rest) as object),
  archiveBytes: archive.length,
  planBytes: plan.length,
});

const toBuild = ({ state, ...rest }: Build) => ({ ...(plain(rest) as object), stateBytes: state.length });

const toStarted = ({ workspace, build, job }: { workspace: Workspace; build: Build; job: Job }) => ({
  workspace,
  build: toBuild(build),
  job: toJob(job),
});

/** Messages as plain JSON: 64-bit numbers as numbers, without the schema's own members. */
const plain = (value: unknown): unknown =>
  value === undefined
    ? undefined
    : JSON.parse(
        JSON.stringify(value, (key, item: unknown) =>
          key.startsWith("$") ? undefined : typeof item === "bigint" ? Number(item) : item,
        ),
      );
