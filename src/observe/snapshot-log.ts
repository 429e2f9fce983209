import type { Log } from "./log.ts";
import type { RecentLines } from "./snapshot-lines.ts";

/** A log that also keeps what it is told in `lines`, debug and all: what a support bundle shows, whatever the sinks are. `now` is in Unix milliseconds. */
export function remembering(log: Log, lines: RecentLines, now: () => number): Log {
  return {
    write: (level, logger, message, fields = {}) => {
      const details = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : "";
      lines.add(`${new Date(now()).toISOString()} ${level.padEnd(5)} ${logger} ${message}${details}`);
      log.write(level, logger, message, fields);
    },
  };
}
