import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type DescMessage, fromBinary, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import {
  type AcquiredJob,
  AcquiredJobSchema,
  type CommitQuotaRequest,
  CommitQuotaRequestSchema,
  type CommitQuotaResponse,
  CommitQuotaResponseSchema,
  type CompletedJob,
  CompletedJobSchema,
  type FailedJob,
  FailedJobSchema,
  type Log,
  type UpdateJobRequest,
  UpdateJobRequestSchema,
  type UpdateJobResponse,
  UpdateJobResponseSchema,
} from "../../src/gen/provisionerd_pb.ts";

/** One job of a recorded session: all that both ends said about it. */
export interface RecordedJob {
  name: string;
  acquired: AcquiredJob;
  /** Calls in their order: `variables`, `quota`, `upload`, `download`, `complete`, `fail`. */
  kinds: string[];
  logs: Log[];
  variables: UpdateJobRequest | undefined;
  /** The answer to it, or the server's text when it refused. */
  variablesAnswer: UpdateJobResponse | string | undefined;
  quota: { request: CommitQuotaRequest; response: CommitQuotaResponse } | undefined;
  canceled: boolean;
  completed: CompletedJob | undefined;
  failed: FailedJob | undefined;
}

interface Packet {
  way: string;
  layer: string;
  kind?: string;
  yamux_stream?: number;
  of?: string;
  hex?: string;
  json?: JsonValue;
  text?: string;
}

/** Reads all jobs of one recorded session. */
export function recordedJobs(folder: string, session: string): RecordedJob[] {
  const jobs: RecordedJob[] = [];
  const files = readdirSync(join(folder, session)).filter((file) => file.endsWith(".jsonl"));
  for (const file of files.sort()) {
    const lines = readFileSync(join(folder, session, file), "utf8")
      .trim()
      .split("\n");
    const answers = new Map<number, (packet: Packet) => void>();
    for (const packet of lines.map((line) => JSON.parse(line) as Packet)) {
      if (packet.layer !== "drpc") continue;
      const stream = packet.yamux_stream ?? 0;
      if (packet.way === "down" && (packet.of || packet.kind === "Error")) answers.get(stream)?.(packet);
      if (packet.of === "provisionerd.AcquiredJob") {
        const acquired = decode(AcquiredJobSchema, packet);
        if (acquired.jobId) jobs.push(newJob(`${session}/${jobs.length + 1}`, acquired));
        continue;
      }
      const job = jobs.at(-1);
      if (job && packet.way === "up" && packet.of) hear(job, packet, (then) => answers.set(stream, then));
    }
  }
  return jobs;
}

function newJob(name: string, acquired: AcquiredJob): RecordedJob {
  const nothing = {
    variables: undefined,
    variablesAnswer: undefined,
    quota: undefined,
    completed: undefined,
    failed: undefined,
  };
  return { name, acquired, kinds: [], logs: [], canceled: false, ...nothing };
}

function hear(job: RecordedJob, packet: Packet, answered: (then: (answer: Packet) => void) => void): void {
  switch (packet.of) {
    case "provisionerd.UpdateJobRequest": {
      const request = decode(UpdateJobRequestSchema, packet);
      job.logs.push(...request.logs);
      const declares =
        request.templateVariables.length > 0 ||
        request.readme.length > 0 ||
        Object.keys(request.workspaceTags).length > 0;
      if (declares) {
        job.variables = request;
        job.kinds.push("variables");
      }
      answered((answer) => {
        const response = answer.kind === "Error" ? (answer.text ?? "") : decode(UpdateJobResponseSchema, answer);
        if (declares) job.variablesAnswer = response;
        if (typeof response !== "string" && response.canceled) job.canceled = true;
      });
      break;
    }
    case "provisionerd.CommitQuotaRequest": {
      const request = decode(CommitQuotaRequestSchema, packet);
      job.kinds.push("quota");
      answered((answer) => {
        job.quota = { request, response: decode(CommitQuotaResponseSchema, answer) };
      });
      break;
    }
    case "provisionerd.CompletedJob":
      job.kinds.push("complete");
      job.completed = decode(CompletedJobSchema, packet);
      break;
    case "provisionerd.FailedJob":
      job.kinds.push("fail");
      job.failed = decode(FailedJobSchema, packet);
      break;
    case "provisionerd.FileRequest":
      job.kinds.push("download");
      break;
    case "provisioner.FileUpload":
      if (job.kinds.at(-1) !== "upload") job.kinds.push("upload");
  }
}

/** Large payloads are recorded by size and hash only: their content is gone, and so is the field. */
function decode<D extends DescMessage>(schema: D, { hex, json }: Packet): MessageShape<D> {
  if (hex !== undefined) return fromBinary(schema, Buffer.from(hex, "hex"));
  return fromJson(schema, withoutPlaceholders(json ?? {}), { ignoreUnknownFields: true });
}

function withoutPlaceholders(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutPlaceholders);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([, inner]) => !isPlaceholder(inner));
  return Object.fromEntries(kept.map(([name, inner]) => [name, withoutPlaceholders(inner)]));
}

function isPlaceholder(value: JsonValue): boolean {
  return value !== null && typeof value === "object" && !Array.isArray(value) && "sha256" in value && "bytes" in value;
}
