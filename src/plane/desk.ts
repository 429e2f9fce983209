import { type BuildOptions, createBuild, createWorkspace, pushState, type StartedBuild } from "./builds.ts";
import { type DaemonLine, listDaemons } from "./daemons.ts";
import { followJob, type JobEvent, waitForJob } from "./follow.ts";
import { cancelJob } from "./jobs.ts";
import { createKey, deleteKey, listKeys } from "./keys.ts";
import { createOrganization } from "./organizations.ts";
import type {
  Build,
  Job,
  JobLog,
  Organization,
  ProvisionerKey,
  Tags,
  Template,
  TemplateVersion,
  User,
  Workspace,
} from "./rows.ts";
import { dryRun, importVersion, type StartedImport } from "./templates.ts";
import { createPrebuildsUser, createUser, type NewUser, renewSessionToken } from "./users.ts";
import { mustGet, type World } from "./world.ts";

/** A build as the desk starts it; without an initiator the admin is one. */
export interface BuildRequest extends BuildOptions {
  readonly transition: "start" | "stop" | "delete";
  readonly state?: Uint8Array;
  readonly orphan?: boolean;
  readonly initiatorId?: string;
}

/**
 * What people and their tools do at a control plane. Rows come back as they are now and never change; ask again for news.
 * Refusals are RefusedErrors with a text for a person.
 */
export class Desk {
  protected readonly world: World;
  /** The default organization. */
  readonly organization: Organization;
  /** The first user, who may do everything. */
  readonly admin: User;
  /** The admin's session token: for the plane's own REST API, and as a user token. */
  readonly adminToken: string;

  /** Furnishes an empty world with an organization and an admin. */
  constructor(world: World, organizationName: string) {
    this.world = world;
    this.organization = createOrganization(world, organizationName);
    this.admin = createUser(world, { name: "admin", admin: true });
    this.adminToken = renewSessionToken(world, this.admin.id);
    createPrebuildsUser(world);
  }

  createOrganization(name: string): Organization {
    return createOrganization(this.world, name);
  }

  organizations(): Organization[] {
    return this.world.store.organizations.filter(() => true);
  }

  /** Makes a provisioner key; its secret is told here and never again. */
  createKey(name: string, tags: Tags = {}, organizationId = this.organization.id): ProvisionerKey & { secret: string } {
    return createKey(this.world, organizationId, { name, tags });
  }

  keys(organizationId = this.organization.id): ProvisionerKey[] {
    return listKeys(this.world, organizationId);
  }

  deleteKey(name: string, organizationId = this.organization.id): void {
    deleteKey(this.world, organizationId, name);
  }

  /** Makes a user with a session token, which is told here and never again. */
  createUser(user: NewUser): { user: User; token: string } {
    const row = createUser(this.world, user);
    return { user: row, token: renewSessionToken(this.world, row.id) };
  }

  user(id: string): User {
    return mustGet(this.world.store.users, id, "user");
  }

  /** Daily credits of an owner; undefined takes the quota away. */
  setQuota(userId: string, budget: number | undefined, organizationId = this.organization.id): void {
    const { [organizationId]: _former, ...others } = this.user(userId).budgets;
    const budgets = budget === undefined ? others : { ...others, [organizationId]: budget };
    this.world.store.users.update(userId, { budgets });
  }

  /** Makes an external auth provider known to the deployment. */
  configureExternalAuth(providerId: string): void {
    this.world.externalAuthProviders.add(providerId);
  }

  /** Links an owner to a provider: builds get this access token. */
  setExternalToken(userId: string, providerId: string, accessToken: string): void {
    const { externalTokens } = this.user(userId);
    this.world.store.users.update(userId, { externalTokens: { ...externalTokens, [providerId]: accessToken } });
  }

  daemons(organizationId = this.organization.id): DaemonLine[] {
    return listDaemons(this.world, organizationId);
  }

  /** AcquireJob calls that wait for a job now. */
  get waitingAcquires(): number {
    return this.world.queue.waiting;
  }

  /** Uploads a version of a template and starts its import. */
  importTemplate(input: {
    template: string;
    archive: Uint8Array;
    version?: string;
    tags?: Tags;
    variables?: Readonly<Record<string, string>>;
    organizationId?: string;
    initiatorId?: string;
  }): StartedImport {
    const { initiatorId, organizationId = this.organization.id, ...rest } = input;
    return importVersion(this.world, { ...rest, organizationId, initiator: this.#initiator(initiatorId) });
  }

  /** Starts a dry run of an imported version. */
  dryRun(input: {
    versionId: string;
    workspaceName?: string;
    parameters?: Readonly<Record<string, string>>;
    initiatorId?: string;
  }): Job {
    const { initiatorId, ...rest } = input;
    return dryRun(this.world, { ...rest, initiator: this.#initiator(initiatorId) });
  }

  /** Makes a workspace of a template and starts its first build; the admin owns it unless `ownerId` says who does. */
  createWorkspace(
    input: BuildOptions & { templateId: string; name: string; ownerId?: string; initiatorId?: string },
  ): StartedBuild {
    const { ownerId, initiatorId, ...rest } = input;
    const owner = this.#initiator(ownerId);
    return createWorkspace(this.world, {
      ...rest,
      owner,
      initiator: initiatorId === undefined ? owner : this.user(initiatorId),
    });
  }

  /** Starts a further build of a workspace. */
  build(workspaceId: string, { initiatorId, ...request }: BuildRequest): StartedBuild {
    return createBuild(this.world, { ...request, workspaceId, initiator: this.#initiator(initiatorId) });
  }

  /** A user's cancel (spec/02 §4.2). */
  cancel(jobId: string): Job {
    return cancelJob(this.world, jobId);
  }

  job(id: string): Job {
    return mustGet(this.world.store.jobs, id, "job");
  }

  jobs(): Job[] {
    return this.world.store.jobs.filter(() => true);
  }

  logs(jobId: string): readonly JobLog[] {
    return this.world.store.logs(jobId);
  }

  /** A job's log lines and statuses from its start until it is over. */
  follow(jobId: string, signal: AbortSignal): AsyncIterable<JobEvent> {
    return followJob(this.world, jobId, signal);
  }

  /** The job once it is over. */
  ended(jobId: string, signal: AbortSignal): Promise<Job> {
    return waitForJob(this.world, jobId, ({ completedAt }) => completedAt !== undefined, signal);
  }

  /** The job once somebody runs it, or it is over. */
  started(jobId: string, signal: AbortSignal): Promise<Job> {
    const test = ({ startedAt, completedAt }: Job) => startedAt !== undefined || completedAt !== undefined;
    return waitForJob(this.world, jobId, test, signal);
  }

  template(id: string): Template {
    return mustGet(this.world.store.templates, id, "template");
  }

  version(id: string): TemplateVersion {
    return mustGet(this.world.store.versions, id, "template version");
  }

  workspace(id: string): Workspace {
    return mustGet(this.world.store.workspaces, id, "workspace");
  }

  workspaces(): Workspace[] {
    return this.world.store.workspaces.filter(() => true);
  }

  /** A build with its state, resources, modules, timings and parameters. */
  buildRow(id: string): Build {
    return mustGet(this.world.store.builds, id, "workspace build");
  }

  /** Builds of a workspace, oldest first. */
  builds(workspaceId: string): Build[] {
    return this.world.store.builds.filter((row) => row.workspaceId === workspaceId);
  }

  /** Replaces the state of a build that is over. */
  pushState(buildId: string, state: Uint8Array): void {
    pushState(this.world, buildId, state);
  }

  /** The cached module archive of a version, or undefined. */
  moduleFiles(versionId: string): Uint8Array | undefined {
    const { moduleFileId } = this.version(versionId);
    return moduleFileId === undefined ? undefined : mustGet(this.world.store.files, moduleFileId, "file").data;
  }

  /** How many distinct files are kept. */
  get fileCount(): number {
    return this.world.store.files.size;
  }

  #initiator(id: string | undefined): User {
    return id === undefined ? this.admin : this.user(id);
  }
}
