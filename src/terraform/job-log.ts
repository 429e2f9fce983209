import { levelFromName } from "../contract/stages.ts";
import { LogLevel } from "../gen/provisioner_pb.ts";
import type { Clock } from "../kit/clock.ts";
import { cleanText } from "../kit/text.ts";
import type { OpenOptions } from "../session/types.ts";
import type { LogEntry } from "./records.ts";

/** The job's log as the steps write it: below the job's level nothing goes out (spec/03 §5.6). */
export class JobLog {
  readonly #threshold: LogLevel;

  constructor(
    readonly options: OpenOptions,
    readonly clock: Clock,
  ) {
    this.#threshold = levelFromName(options.logLevel);
  }

  entry = ({ level, output }: LogEntry): void => {
    if (level < this.#threshold) return;
    this.options.onLog({ level, output: cleanText(output), createdAt: this.clock.now() });
  };

  info(output: string): void {
    this.entry({ level: LogLevel.INFO, output });
  }

  warn(output: string): void {
    this.entry({ level: LogLevel.WARN, output });
  }
}
