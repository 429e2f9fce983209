import { messageOf, OperatorError } from "../kit/errors.ts";
import type { Log } from "./log.ts";
import { type Form, forms } from "./log-forms.ts";
import { openSink, type Streams } from "./log-sink.ts";

/** Where lines go and how they look: `auto` is for people on a terminal, JSON anywhere else. */
export interface SinkOptions {
  form: Form | "auto";
  /** `/dev/stdout`, `/dev/stderr`, `/dev/null` or empty for nowhere, or the path of a file (spec/02 §6.1). */
  path: string;
}

export interface LogOptions {
  sinks: readonly SinkOptions[];
  /** Debug lines, too. */
  verbose: boolean;
  /** Patterns of loggers or messages; where there are any, those debug lines are written that match one (spec/02 §6.1). */
  filters: readonly RegExp[];
  /** Unix milliseconds. */
  now: () => number;
  streams: Streams;
  environment: Readonly<Record<string, string | undefined>>;
  /** Masks what must not be seen in a whole line: the agent's own key and tokens. Lines of jobs come masked. */
  mask?: (line: string) => string;
  /** Gets every line in our own form, masked, debug and all: for whoever asks the running agent what it has done. */
  remember?: (line: string) => void;
}

export interface OpenLog {
  log: Log;
  /** Lines that a sink did not take, since the start. */
  readonly dropped: number;
  close(): Promise<void>;
}

/** Opens all sinks. Throws OperatorError for a file that can't be opened. */
export function openLog(options: LogOptions): OpenLog {
  const { verbose, now, streams, environment, mask = (line) => line, remember } = options;
  const wanted = debugRule(options.filters, verbose);
  const plain = forms.outpost({ color: false });
  const sinks = options.sinks.flatMap(({ form, path }) => {
    const sink = openOrExplain(path, streams);
    if (!sink) return [];
    const color = environment["NO_COLOR"] ? false : (forcedColor(environment["FORCE_COLOR"]) ?? sink.terminal);
    const render = forms[form === "auto" ? (sink.terminal ? "outpost" : "json") : form]({ color });
    return [{ sink, render }];
  });
  return {
    log: {
      write(level, logger, message, fields = {}) {
        const entry = { at: now(), level, logger, message, fields };
        remember?.(mask(plain(entry)));
        if (level === "debug" && !wanted(logger, message)) return;
        for (const { sink, render } of sinks) sink.write(mask(render(entry)));
      },
    },
    get dropped() {
      return sinks.reduce((sum, { sink }) => sum + sink.dropped, 0);
    },
    close: async () => {
      await Promise.all(sinks.map(({ sink }) => sink.close()));
    },
  };
}

/** Which debug lines are written: with filters those that match one, else all or none. */
function debugRule(filters: readonly RegExp[], verbose: boolean): (logger: string, message: string) => boolean {
  if (filters.length === 0) return () => verbose;
  return (logger, message) => filters.some((filter) => filter.test(logger) || filter.test(message));
}

function forcedColor(forced: string | undefined): boolean | undefined {
  return forced ? forced !== "0" : undefined;
}

function openOrExplain(path: string, streams: Streams) {
  try {
    return openSink(path, streams);
  } catch (error) {
    throw new OperatorError(`open log file "${path}": ${messageOf(error)}`, {
      code: "OUT-LOG-FILE",
      cure: "name a file in a folder that exists and may be written, or /dev/stderr",
      cause: error,
    });
  }
}
