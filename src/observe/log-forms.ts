import pino from "pino";
import type { Entry, FieldValue, Level } from "./log.ts";

/** How a line looks: ours for people, Coder's for people, and two kinds of JSON (spec/02 §6.2). */
export type Form = "outpost" | "coder" | "json" | "stackdriver";

/** An entry as one line without its end. */
export type Render = (entry: Entry) => string;

export const forms: Record<Form, (look: { color: boolean }) => Render> = {
  outpost: ({ color }) => outpostForm(color),
  coder: ({ color }) => coderForm(color),
  json: () => jsonForm(),
  stackdriver: () => stackdriverForm,
};

/** JSON with the keys level, ts, logger_names, fields, msg. */
function jsonForm(): Render {
  let at = 0;
  let rendered = "";
  const out = pino(
    {
      level: "debug",
      base: null,
      messageKey: "msg",
      timestamp: () => `,"ts":"${new Date(at).toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    {
      write: (line: string) => {
        rendered = line.trimEnd();
      },
    },
  );
  return (entry) => {
    at = entry.at;
    out[entry.level]({ logger_names: names(entry.logger), fields: entry.fields }, entry.message);
    return rendered;
  };
}

/** Google Cloud's form: the fields stand at the top, and never hide what the line is. */
function stackdriverForm({ at, level, logger, message, fields }: Entry): string {
  return JSON.stringify({
    ...fields,
    severity: level === "warn" ? "WARNING" : level.toUpperCase(),
    message,
    timestampSeconds: Math.floor(at / 1000),
    timestampNanos: (at % 1000) * 1_000_000,
    ...(logger ? { "logging.googleapis.com/labels": { logger_names: logger } } : {}),
  });
}

/** `14:02:11 info  job   a1b2 done key=value`: time, level, who, what, fields. */
function outpostForm(color: boolean): Render {
  return ({ at, level, logger, message, fields }) => {
    const time = new Date(at).toTimeString().slice(0, 8);
    const details = shown(fields).map(([key, value]) => `${key}=${quote(value)}`);
    return [time, paint(level.padEnd(5), level, color), logger.padEnd(5), oneLine(message), ...details].join(" ");
  };
}

const tags: Record<Level, string> = { debug: "[debu]", info: "[info]", warn: "[warn]", error: "[erro]" };

/** `2006-01-02 15:04:05.000 [info]  name1.name2: message  key=value`; values of several lines stand below it. */
function coderForm(color: boolean): Render {
  return ({ at, level, logger, message, fields }) => {
    const details: string[] = [];
    const blocks: string[] = [];
    for (const [key, value] of shown(fields)) {
      if (typeof value !== "string" || !value.trimEnd().includes("\n")) details.push(`${key}=${quote(value)}`);
      else
        blocks.push(
          `${key}= ${value
            .trimEnd()
            .split("\n")
            .map(oneLine)
            .join(`\n${" ".repeat(key.length + 2)}`)}`,
        );
    }
    const who = logger ? `${logger}: ` : "";
    const head = `${dateTime(at)} ${paint(tags[level], level, color)}  ${who}${oneLine(message)}`;
    if (blocks.length > 0) details.push("...");
    return [[head, ...details].join("  "), ...blocks].join("\n");
  };
}

function shown(fields: Entry["fields"]): Array<[string, FieldValue]> {
  return Object.entries(fields).filter(([, value]) => value !== undefined && value !== "");
}

function names(logger: string): string[] {
  return logger ? logger.split(".") : [];
}

/** Local time, as people at the machine read it. */
function dateTime(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** A value as it is where nothing in it could be mistaken, else as a JSON string; maps and lists as JSON. */
function quote(value: FieldValue): string {
  if (typeof value === "object") return JSON.stringify(value);
  const text = String(value);
  return /^[^\s"=\p{C}]+$/u.test(text) ? text : oneLine(JSON.stringify(text));
}

/** Whatever others wrote stays on its line and moves no cursor. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\t") return "\t";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

const colors: Record<Level, number> = { debug: 90, info: 34, warn: 33, error: 31 };

function paint(text: string, level: Level, color: boolean): string {
  return color ? `\u001b[${colors[level]}m${text}\u001b[0m` : text;
}
