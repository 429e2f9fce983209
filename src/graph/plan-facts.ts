import { LogLevel, type ResourceReplacement } from "../gen/provisioner_pb.ts";
import { type PlanDocument, readPlan } from "./documents.ts";
import { clip, within } from "./errors.ts";
import { limits } from "./limits.ts";
import { decodeMetadata } from "./metadata.ts";
import { plannedReplacements, replacementLines, reportedReplacements } from "./replacements.ts";

/** What the answer to a plan takes out of the plan's JSON (spec/04 appendix A, spec/03 §7). */
export interface PlanJsonFacts {
  /** Sum over all `coder_metadata`, clamped to int32. */
  dailyCost: number;
  /** Number of planned `coder_ai_task`. */
  aiTaskCount: number;
  resourceReplacements: ResourceReplacement[];
  /** The block that every build but a prebuild claim logs; empty where nothing is replaced. */
  replacementLog: { level: LogLevel; output: string }[];
  /** True where something is replaced, with a path or without: a prebuild claim then logs the plan as people read it. */
  replaces: boolean;
}

/**
 * Reads a plan (`terraform show -json PLANFILE`) for the answer to a plan request.
 * @throws GraphError a broken document, or a `coder_metadata` that does not decode; prefixes of spec/03 §3.8
 */
export function planFacts(plan: Uint8Array): PlanJsonFacts {
  const document = within("show terraform plan file: decode terraform json: ", () => readPlan(plan));
  return within("convert plan state: ", () => {
    const replacements = plannedReplacements(document.changes);
    return {
      dailyCost: dailyCost(document),
      aiTaskCount: document.resources.filter(({ type }) => type === "coder_ai_task").length,
      resourceReplacements: reportedReplacements(document.changes),
      replacementLog: replacementLines(replacements).map((line) => ({
        level: LogLevel.WARN,
        output: clip(line, limits.messageChars),
      })),
      replaces: replacements.length > 0,
    };
  });
}

function dailyCost({ resources }: PlanDocument): number {
  let cost = 0;
  for (const resource of resources) {
    if (resource.type !== "coder_metadata") continue;
    const prefix = `parse plan: in module ${resource.module || "root"}: `;
    cost += within(prefix, () => decodeMetadata(resource)).dailyCost;
  }
  return Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, cost));
}
