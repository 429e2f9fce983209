import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { methods } from "../../src/contract/methods.ts";
import { FileUploadSchema, RoleSchema } from "../../src/gen/provisioner_pb.ts";
import {
  type AcquiredJob,
  AcquiredJobSchema,
  CommitQuotaRequestSchema,
  CommitQuotaResponseSchema,
  CompletedJobSchema,
  EmptySchema,
  FailedJobSchema,
  FileRequestSchema,
  UpdateJobRequestSchema,
  UpdateJobResponseSchema,
} from "../../src/gen/provisionerd_pb.ts";
import { RefusedError } from "../../src/kit/errors.ts";
import type { Plane } from "../../src/plane/plane.ts";
import { jobStatus } from "../../src/plane/rows.ts";
import { ScriptedAgent } from "../support/plane-agent.ts";
import { scene } from "../support/plane-life.ts";
import { type RecordedCall, type RecordedPacket, recordedCalls } from "../support/plane-recording.ts";
import { sharedFolder } from "../support/shared.ts";

const folders = ["idle", "life", "rich", "quota", "failures", "variable", "cancel", "cut", "modules"];

/** Plays the recorded daemon's side of a session to a plane that a person uses as the recorded one did. */
class Replay {
  /** Recorded id → ours, for jobs and workspaces. */
  readonly #jobs = new Map<string, string>();
  readonly #workspaces = new Map<string, string>();
  #ownerId = "";
  #templateId = "";
  #versionId = "";
  #moduleFile: Buffer = Buffer.alloc(0);
  played = 0;

  constructor(
    readonly plane: Plane,
    readonly organizationId: string,
  ) {
    // The recorded owner, so that the job says as much as the recorded one.
    this.#ownerId = plane.createUser({
      name: "testuser",
      email: "testuser@coder.com",
      fullName: "Test User",
      roles: [
        role("owner"),
        role("member"),
        ...["organization-member", "organization-workspace-access"].map((name) => role(name, organizationId)),
      ],
      sshPublicKey: "ssh-ed25519 AAAA",
      sshPrivateKey: "-----BEGIN OPENSSH PRIVATE KEY-----",
      budgets: { [organizationId]: 1000 },
    }).user.id;
  }

  async play(agent: ScriptedAgent, call: RecordedCall): Promise<void> {
    const [request] = call.up;
    // A call that the cut left without an answer proves nothing.
    const expected = call.down;
    if (expected.length === 0) return;
    this.played++;
    switch (call.method) {
      case methods.acquireJobWithCancel:
        return this.#acquire(agent, call);
      case methods.updateJob:
        return this.#update(agent, request, expected);
      case methods.commitQuota: {
        const message = fromBinary(CommitQuotaRequestSchema, bytesOf(request));
        const answer = await agent.quota({ ...message, jobId: this.#job(message.jobId) });
        expect(toJson(CommitQuotaResponseSchema, answer, { useProtoFieldName: true })).toEqual(expected[0]?.json);
        return;
      }
      case methods.failJob: {
        const message = fromBinary(FailedJobSchema, bytesOf(request));
        message.jobId = this.#job(message.jobId);
        await this.#empty(agent, methods.failJob, toBinary(FailedJobSchema, message), expected);
        expect(this.plane.job(message.jobId)).toMatchObject({ error: message.error });
        return;
      }
      case methods.completeJob: {
        const message = fromBinary(CompletedJobSchema, bytesOf(request));
        message.jobId = this.#job(message.jobId);
        if (message.type.case === "templateImport" && message.type.value.moduleFilesHash.length > 0) {
          message.type.value.moduleFilesHash = sha256(this.#moduleFile);
        }
        await this.#empty(agent, methods.completeJob, toBinary(CompletedJobSchema, message), expected);
        expect(jobStatus(this.plane.job(message.jobId))).toBe("succeeded");
        return;
      }
      case methods.uploadFile:
        return this.#upload(agent, call);
      case methods.downloadFile: {
        const { fileId } = fromBinary(FileRequestSchema, bytesOf(request));
        expect(fileId).not.toBe("");
        const answer = await agent.download(this.plane.version(this.#versionId).moduleFileId ?? "");
        expect(answer.map(({ type }) => type.case)).toEqual(expected.map(caseOf));
        return;
      }
      default:
        throw new Error(`a method that nobody expects: ${call.method}`);
    }
  }

  async #acquire(agent: ScriptedAgent, { up, down }: RecordedCall): Promise<void> {
    const recorded = fromBinary(AcquiredJobSchema, bytesOf(down[0]));
    await using call = await agent.acquireCall();
    if (up.length > 0) await agent.cancelAcquire(call);
    else this.#post(recorded);
    const job = await agent.receiveJob(call);
    expect(await agent.receiveJob(call)).toBeUndefined();
    if (recorded.jobId === "") {
      expect(job?.jobId).toBe("");
      return;
    }
    if (!job) throw new Error("no job");
    this.#jobs.set(recorded.jobId, job.jobId);
    const [ours, theirs] = [job, recorded].map((message) => toJson(AcquiredJobSchema, message));
    expect(shapeOf(ours)).toEqual(shapeOf(theirs));
  }

  /** Does at the plane what the recorded person did before that job came. */
  #post(job: AcquiredJob): void {
    const initiatorId = this.#ownerId;
    switch (job.type.case) {
      case "templateImport": {
        const variables = Object.fromEntries(job.type.value.userVariableValues.map(({ name, value }) => [name, value]));
        const started = this.plane.importTemplate({
          template: `t${this.#jobs.size}`,
          archive: job.templateSourceArchive,
          variables,
          initiatorId,
        });
        this.#templateId = started.template.id;
        this.#versionId = started.version.id;
        return;
      }
      case "templateDryRun": {
        const { metadata, richParameterValues } = job.type.value;
        this.plane.dryRun({
          versionId: this.#versionId,
          workspaceName: metadata?.workspaceName ?? "",
          parameters: Object.fromEntries(richParameterValues.map(({ name, value }) => [name, value])),
          initiatorId,
        });
        return;
      }
      case "workspaceBuild": {
        const { metadata, richParameterValues, workspaceName } = job.type.value;
        const parameters = Object.fromEntries(richParameterValues.map(({ name, value }) => [name, value]));
        const known = this.#workspaces.get(metadata?.workspaceId ?? "");
        if (known) {
          const transition = (["start", "stop", "delete"] as const)[metadata?.workspaceTransition ?? 0] ?? "start";
          this.plane.build(known, { transition, parameters, initiatorId });
          return;
        }
        const started = this.plane.createWorkspace({
          templateId: this.#templateId,
          name: workspaceName,
          ownerId: this.#ownerId,
          parameters,
        });
        this.#workspaces.set(metadata?.workspaceId ?? "", started.workspace.id);
        return;
      }
      default:
        throw new Error("a job of no kind");
    }
  }

  async #update(agent: ScriptedAgent, request: RecordedPacket | undefined, expected: RecordedPacket[]): Promise<void> {
    const message = fromBinary(UpdateJobRequestSchema, bytesOf(request));
    message.jobId = this.#job(message.jobId);
    const canceled = expected[0]?.json?.["canceled"] === true;
    if (canceled) this.plane.cancel(message.jobId);
    const answer = await agent.rpc
      .unary(methods.updateJob, toBinary(UpdateJobRequestSchema, message), agent.signal)
      .catch((error: unknown) => error);
    if (expected[0]?.kind === "Error") {
      expect(answer).toBeInstanceOf(RefusedError);
      expect((answer as RefusedError).message).toContain(expected[0].text);
    } else {
      const json = toJson(UpdateJobResponseSchema, fromBinary(UpdateJobResponseSchema, answer as Uint8Array), {
        useProtoFieldName: true,
      });
      expect(json).toEqual(expected[0]?.json);
    }
  }

  async #empty(agent: ScriptedAgent, method: string, bytes: Uint8Array, expected: RecordedPacket[]): Promise<void> {
    expect(expected.map(({ of }) => of)).toEqual(["provisionerd.Empty"]);
    fromBinary(EmptySchema, await agent.rpc.unary(method, bytes, agent.signal));
  }

  /** The recording holds sizes and hashes of the pieces: content of the same sizes takes their place. */
  async #upload(agent: ScriptedAgent, { up, down }: RecordedCall): Promise<void> {
    const [head, ...pieces] = up;
    const announced = fromBinary(FileUploadSchema, bytesOf(head));
    if (announced.type.case !== "dataUpload") throw new Error("no announcement");
    this.#moduleFile = randomBytes(Number(announced.type.value.fileSize));
    const dataHash = sha256(this.#moduleFile);
    announced.type.value.dataHash = dataHash;
    let start = 0;
    await agent.upload([
      announced,
      ...pieces.map(({ json }, pieceIndex) => {
        const piece = json?.["chunk_piece"] as { data: { bytes: number } } | undefined;
        const data = this.#moduleFile.subarray(start, start + (piece?.data.bytes ?? 0));
        start += data.length;
        return { type: { case: "chunkPiece" as const, value: { data, fullDataHash: dataHash, pieceIndex } } };
      }),
    ]);
    expect(down.map(({ of }) => of)).toEqual(["provisionerd.Empty"]);
  }

  #job(recorded: string): string {
    const ours = this.#jobs.get(recorded);
    if (!ours) throw new Error(`the recording speaks of a job that was not handed out: ${recorded}`);
    return ours;
  }
}

const role = (name: string, orgId = "") => create(RoleSchema, { name, orgId });
const bytesOf = (packet: RecordedPacket | undefined): Uint8Array => Buffer.from(packet?.hex ?? "", "hex");
const sha256 = (data: Uint8Array): Uint8Array => createHash("sha256").update(data).digest();
const caseOf = ({ json }: RecordedPacket) => (json && "data_upload" in json ? "dataUpload" : "chunkPiece");

/** Members whose values differ from deployment to deployment. */
const varying = /(?:id|At|Token|Url|File|Key|state|templateName|templateVersion|workspaceName)$/i;

/** Which fields are set, at every depth, with the values that are the same in every deployment; lists in any order. */
function shapeOf(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) {
    return value.map((item) => shapeOf(item, name)).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shapeOf(item, key)]));
  }
  return varying.test(name) ? typeof value : value;
}

describe("recorded daemons are served", () => {
  test.skipIf(!sharedFolder).each(folders)(
    "the daemon of %s gets an answer of the recorded kind to each of its calls",
    async (folder) => {
      await using s = await scene();
      const replay = new Replay(s.plane, s.plane.organization.id);
      let recorded = 0;
      for (const connection of ["002", "003"]) {
        const path = `${sharedFolder}/cases/wire/${folder}/${connection}.jsonl`;
        if (!existsSync(path)) continue;
        // Each connection is a new one under the same name, as it was.
        await using agent = await ScriptedAgent.connect(s.plane.url, s.key, "recorded");
        for (const call of recordedCalls(path)) {
          recorded++;
          await replay.play(agent, call);
        }
      }
      expect(recorded).toBeGreaterThan(0);
      expect(recorded - replay.played).toBeLessThanOrEqual(folder === "cut" ? 2 : 0);
    },
  );
});
