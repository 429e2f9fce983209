import { RefusedError } from "../kit/errors.ts";

/** The JSON body of a refused HTTP call (spec/01 §1.6). */
export interface RefusalBody {
  message: string;
  detail?: string;
  validations?: { field: string; detail: string }[];
}

/** A refusal with its HTTP status. */
export class HttpRefusal extends RefusedError {
  constructor(
    readonly status: number,
    message: string,
    readonly more: Omit<RefusalBody, "message"> = {},
  ) {
    super(message);
  }

  get body(): RefusalBody {
    return { message: this.message, ...this.more };
  }
}
