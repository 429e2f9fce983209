import { LogLevel } from "../gen/provisioner_pb.ts";
import { type Diagnostic, diagnosticLines, parseDiagnostic } from "./diagnostics.ts";
import { object, text } from "./members.ts";

/** One JSON line of the engine's output, as far as it is read (spec/03 §5.1). Absent members are empty. */
export interface EngineRecord {
  level: string;
  message: string;
  timestamp: string;
  type: string;
  messageCode: string;
  hook: { action: string; address: string; provider: string };
  diagnostic: Diagnostic | undefined;
}

export interface LogEntry {
  level: LogLevel;
  output: string;
}

/** What an emergency dump of the state calls itself (spec/03 §9.6). */
export const dumpMessage = "Emergency state dump";

/**
 * The record that a line is, or undefined for what is not JSON, no object, or has a member of the wrong type.
 * `null` is a record without members, as it is for the control plane's own daemon.
 */
export function parseRecord(line: string): EngineRecord | undefined {
  // Most lines of a debug log are long: don't build a tree of what can't be a record.
  if (!/^\s*(\{|null\s*$)/.test(line)) return undefined;
  try {
    const json: unknown = JSON.parse(line);
    const members = object(json);
    const hook = object(members["hook"]);
    const resource = object(hook["resource"]);
    return {
      level: text(members["@level"]),
      message: text(members["@message"]),
      timestamp: text(members["@timestamp"]),
      type: text(members["type"]),
      messageCode: text(members["message_code"]),
      hook: {
        action: text(hook["action"]),
        address: text(resource["addr"]),
        provider: text(resource["implied_provider"]),
      },
      diagnostic: members["diagnostic"] == null ? undefined : parseDiagnostic(object(members["diagnostic"])),
    };
  } catch {
    return undefined;
  }
}

/** Log entries of one line of stdout (spec/03 §5.1). `record` is what `parseRecord` made of it. */
export function stdoutEntries(line: string, record: EngineRecord | undefined): LogEntry[] {
  if (!record) return line.trim() === "" ? [] : [{ level: LogLevel.INFO, output: line }];
  const entries = leveled(record.level, [record.message]);
  if (record.diagnostic) entries.push(...leveled(record.diagnostic.severity, diagnosticLines(record.diagnostic)));
  return entries;
}

/** Log entries of one line of stderr: JSON is the engine's own log, anything else is trouble (spec/03 §5.2). */
export function stderrEntries(line: string): LogEntry[] {
  const record = parseRecord(line);
  if (!record) return line.trim() === "" ? [] : [{ level: LogLevel.ERROR, output: line }];
  const entries = leveled(record.level, [record.message]);
  const own = entries.at(-1) as LogEntry;
  if (own.level === LogLevel.TRACE) return [];
  if (own.level === LogLevel.INFO) own.level = LogLevel.DEBUG;
  return entries;
}

/** The entry for a line that is too long to parse: its level and message where they can be found, and how long it was. */
export function cutEntries(head: string, bytes: number, otherwise: LogLevel): LogEntry[] {
  const found = /^\{"@level":"(\w+)","@message":"((?:[^"\\]|\\.)*)/.exec(head);
  const message = found ? unescaped(found[2] ?? "") : head;
  const level = found ? (levels[(found[1] ?? "").toLowerCase()] ?? LogLevel.INFO) : otherwise;
  return [{ level, output: `${message} … (cut: the line has ${bytes} bytes)` }];
}

const levels: Record<string, LogLevel> = {
  trace: LogLevel.TRACE,
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  warning: LogLevel.WARN,
  error: LogLevel.ERROR,
};

/** The lines at the level of that name; a name that nobody knows is told first (spec/03 §5.3). */
function leveled(name: string, lines: string[]): LogEntry[] {
  const level = Object.hasOwn(levels, name.toLowerCase()) ? levels[name.toLowerCase()] : undefined;
  const entries = lines.map((output) => ({ level: level ?? LogLevel.INFO, output }));
  if (level === undefined)
    entries.unshift({ level: LogLevel.WARN, output: `unknown log level: ${JSON.stringify(name)}` });
  return entries;
}

/** The text of a JSON string that may have been cut inside an escape. */
function unescaped(escaped: string): string {
  for (const whole of [escaped, escaped.replace(/\\[^\\]*$/, "")]) {
    try {
      return JSON.parse(`"${whole}"`) as string;
    } catch {}
  }
  return escaped;
}
