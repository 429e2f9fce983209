import type { Timing } from "../gen/provisioner_pb.ts";
import { JobError, type JobErrorCode } from "../kit/errors.ts";

/** A step that failed in words, with the timings that it had taken until then (spec/02 §2.8 B3, B5, B12). */
export class StepError extends JobError {
  readonly timings: Timing[];

  constructor(message: string, options: ErrorOptions & { code?: JobErrorCode; timings?: Timing[] } = {}) {
    super(message, options);
    this.timings = options.timings ?? [];
  }
}
