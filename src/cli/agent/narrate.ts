import { versionText } from "../../contract/versions.ts";
import type { StepName } from "../../job/events.ts";
import type { LinkEvent } from "../../link/events.ts";
import type { Fields, Level, Log } from "../../observe/log.ts";
import type { AgentFact } from "./agent.ts";
import type { JobHeader } from "./job-header.ts";

/** Tells an agent's facts to its log: one line per thing that an operator wants to know, none per line of a job. */
export function narrator(log: Log): (fact: AgentFact) => void {
  const steps = new Map<string, Map<StepName, number>>();
  return (fact) => {
    if (fact.kind === "link") {
      const { level, message, fields } = linkWords(fact.event);
      log.write(level, "link", message, fields);
      return;
    }
    if (fact.kind === "cache-problem") return void log.write("warn", "cache", fact.text);
    const { job } = fact;
    const where = { id: job.id, slot: job.slot };
    if (fact.kind === "job-began") {
      steps.set(job.id, new Map());
      log.write("info", "job", `${short(job)} ${job.kind.padEnd(7)} ${job.forWhom}  ${job.template}`.trimEnd(), where);
      return;
    }
    const { event } = fact;
    switch (event.kind) {
      case "step-ended": {
        const times = steps.get(job.id);
        times?.set(event.step, (times.get(event.step) ?? 0) + event.ms);
        return;
      }
      case "interrupted":
        log.write("warn", "job", `${short(job)} interrupted: ${event.text}`, { ...where, reason: event.reason });
        return;
      case "warning":
        log.write("warn", "job", `${short(job)} ${event.text}`, where);
        return;
      case "logs-dropped":
        log.write(
          "warn",
          "job",
          `${short(job)} ${event.lines} log lines dropped: the control plane does not take them`,
          where,
        );
        return;
      case "result": {
        const { result } = event;
        const times = [...(steps.get(job.id) ?? [])].map(([step, ms]) => `${step} ${(ms / 1000).toFixed(1)}`).join(" ");
        steps.delete(job.id);
        const level = result.status === "succeeded" ? "info" : result.status === "failed" ? "warn" : "error";
        const why = result.error ? `: ${result.error.split("\n")[0]}` : "";
        log.write(level, "job", `${short(job)} ${result.status}${why} (${times})`, where);
        if (result.rescue)
          log.write(
            "error",
            "job",
            `${short(job)} its state was not taken by the control plane and is kept in the work folder: a person must save it`,
            where,
          );
        if (result.unconfirmed) log.write("error", "job", `${short(job)} unconfirmed: ${result.unconfirmed}`, where);
        return;
      }
      case "step-began":
      case "progress":
      case "log":
        return;
    }
  };
}

const short = (job: JobHeader) => job.id.slice(0, 8);

interface Words {
  level: Level;
  message: string;
  fields?: Fields;
}

/** What an operator reads of the connection. The same reason again is debug: it was said. */
function linkWords(event: LinkEvent): Words {
  switch (event.kind) {
    case "warning":
      return { level: "warn", message: event.message };
    case "connected": {
      const message = `connected in ${(event.afterMs / 1000).toFixed(1)} s, waiting for jobs`;
      const server = event.serverVersion ?? "an unknown version";
      return {
        level: "info",
        message,
        fields: { server, protocol: versionText(event.apiVersion), tries: event.tries },
      };
    }
    case "lost": {
      const why = event.why ?? "closed by the control plane";
      return { level: "warn", message: `connection lost: ${why}; jobs go on, their logs are held; retrying` };
    }
    case "dial-failed":
      return {
        level: event.again ? "debug" : "warn",
        message: `connect: ${event.why}; retrying`,
        fields: { delay_ms: Math.round(event.delayMs) },
      };
    case "refused": {
      const { message, code, reason, cure } = event.error;
      const words = `${message} [${code}]; not ready, retrying slowly`;
      return { level: event.again ? "debug" : "error", message: words, fields: { cause: reason, cure } };
    }
    case "going-away":
      return { level: "info", message: "the control plane asks to reconnect; running jobs go on" };
    case "acquire-failed":
      return { level: "debug", message: `ask for a job: ${event.why}; asking again` };
    case "key": {
      const tags = Object.entries(event.details.tags).map(([key, value]) => `${key}=${value}`);
      const takes =
        tags.length > 0
          ? `jobs whose tags are all in {${tags.join(", ")}}; no untagged jobs: the key has tags`
          : "untagged jobs only: the key has no tags";
      const message = `key "${event.details.name}" accepted; takes ${takes}`;
      return { level: "info", message, fields: { organization: event.details.organizationId } };
    }
  }
}
