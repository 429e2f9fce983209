import { JobError } from "../kit/errors.ts";
import { limits } from "./limits.ts";

/** What went wrong in a conversion, as one word for tests and for metrics. */
export type GraphErrorCategory =
  | "agent_name_empty"
  | "agent_name_regex"
  | "agent_name_underscore"
  | "agent_not_in_graph"
  | "app_slug_regex"
  | "decode_agent"
  | "decode_ai_task"
  | "decode_app"
  | "decode_devcontainer"
  | "decode_env"
  | "decode_metadata"
  | "decode_parameter"
  | "decode_preset"
  | "decode_script"
  | "duplicate_agent_name"
  | "duplicate_app_slug"
  | "duplicate_metadata"
  | "duplicate_parameter"
  | "external_auth_id"
  | "form_type"
  | "multiple_default_presets"
  | "parse_graph"
  | "parse_json"
  | "too_big"
  | "unknown_source";

/** A document that cannot become a graph: the template's author must act. The words are those of spec/04 appendix C. */
export class GraphError extends JobError {
  constructor(
    readonly category: GraphErrorCategory,
    message: string,
    options?: ErrorOptions,
  ) {
    super(clip(message, limits.messageChars), options);
  }
}

/** Runs `work`; a GraphError comes out with `prefix` in front of its message. */
export function within<T>(prefix: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new GraphError(error.category, prefix + error.message, { cause: error });
  }
}

/** The text, or its first `maxChars` characters and an ellipsis; never cut inside a surrogate pair. */
export function clip(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars).toWellFormed()}…`;
}
