import { clone, toBinary } from "@bufbuild/protobuf";
import { limits } from "../contract/limits.ts";
import { type CompletedJob, CompletedJobSchema, type FailedJob, FailedJobSchema } from "../gen/provisionerd_pb.ts";

// A message above the limit makes the server drop the stream, which looks like a lost connection (spec/02 §2.10, W16).
const maxBytes = limits.rpcMessageBytes;

/** How a completion gets through: as it is, after its module files were uploaded or left out, or not at all. */
export type Fit = "as it is" | "without module files" | "never";

export function fitOf(message: CompletedJob): Fit {
  const { length } = toBinary(CompletedJobSchema, message);
  if (length <= maxBytes) return "as it is";
  const { case: kind, value } = message.type;
  // Strictly below: the hash that takes their place needs room, too (spec/02 §2.7).
  const files = kind === "templateImport" ? value.moduleFiles.length : 0;
  return files > 0 && length - files < maxBytes ? "without module files" : "never";
}

/** What makes a completion too big, for the person who has to make it smaller. */
export function tooBigText(message: CompletedJob): string {
  const { case: kind, value } = message.type;
  const parts: string[] = [];
  if (kind === "workspaceBuild") parts.push(`state ${value.state.length}`);
  if (kind === "templateImport") parts.push(`plan ${value.plan.length}`);
  const { length } = toBinary(CompletedJobSchema, message);
  const made = parts.length > 0 ? ` (${parts.join(", ")}, the rest resources and parameters)` : "";
  return `complete job: the result has ${length} bytes${made}: at most ${maxBytes} fit into one message`;
}

/**
 * A failure that fits: the state matters most, so timings go first. `stateLeftOut` tells that even so the state is too
 * big, and is not in the message.
 */
export function fitFailure(message: FailedJob): { message: FailedJob; stateLeftOut: boolean } {
  const size = (candidate: FailedJob) => toBinary(FailedJobSchema, candidate).length;
  if (message.type.case !== "workspaceBuild" || size(message) <= maxBytes) return { message, stateLeftOut: false };
  const smaller = clone(FailedJobSchema, message);
  const { value } = smaller.type as typeof message.type;
  value.timings = [];
  if (size(smaller) <= maxBytes) return { message: smaller, stateLeftOut: false };
  smaller.error += ` (its state has ${value.state.length} bytes, which do not fit into one message of ${maxBytes}: the agent keeps it)`;
  value.state = new Uint8Array();
  return { message: smaller, stateLeftOut: true };
}
