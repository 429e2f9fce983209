import { create } from "@bufbuild/protobuf";
import { serverTexts } from "../contract/methods.ts";
import { type TemplateVariable, type VariableValue, VariableValueSchema } from "../gen/provisioner_pb.ts";
import { UpdateJobRequestSchema } from "../gen/provisionerd_pb.ts";
import { JobError } from "../kit/errors.ts";
import type { Parsed } from "../session/types.ts";
import type { ImportJob } from "./job.ts";
import type { Pipeline } from "./pipeline.ts";

/** How the server refuses a repetition of what it has stored already: unique constraints (spec/02 §5.5). */
const alreadyStored = ["update template version workspace tags:", "insert parameter schema:"];

/**
 * Tells the control plane what a template declares, once, and returns the values that its plans use (spec/02 §2.3
 * step 5). Where the answer to a first call was lost, and its repetition is refused as stored already, the values are
 * computed here by the server's rule.
 */
export async function declareVariables(
  job: ImportJob,
  parsed: Parsed,
  { controlPlane, updates }: Pick<Pipeline, "controlPlane" | "updates">,
  signal: AbortSignal,
): Promise<VariableValue[]> {
  const { templateVariables, readme, workspaceTags } = parsed;
  const { userVariableValues } = job;
  const request = create(UpdateJobRequestSchema, {
    jobId: job.id,
    templateVariables,
    userVariableValues,
    readme,
    workspaceTags,
  });
  const answer = await controlPlane.updateJobOnce(request, signal);
  if (answer.ok) {
    updates.answered(answer.value);
    return answer.value.variableValues;
  }
  const { message } = answer.refused;
  if (answer.repeated && alreadyStored.some((text) => message.includes(text))) {
    return valuesOf(templateVariables, userVariableValues);
  }
  throw answer.refused;
}

/** The server's rule: a user's value or the default; a required variable must have one (spec/02 §5.5 step 9). */
export function valuesOf(declared: readonly TemplateVariable[], given: readonly VariableValue[]): VariableValue[] {
  const values = declared.map(({ name, defaultValue, sensitive }) => {
    const value = given.find((candidate) => candidate.name === name)?.value ?? defaultValue;
    return create(VariableValueSchema, { name, value, sensitive });
  });
  const missing = declared.filter((variable, index) => variable.required && !values[index]?.value);
  if (missing.length > 0) {
    const names = missing.map((variable) => variable.name).join(", ");
    throw new JobError(`${serverTexts.requiredVariables} need values: ${names}`, {
      code: "REQUIRED_TEMPLATE_VARIABLES",
    });
  }
  return values;
}
