import type { Problem, Resolved } from "./resolve.ts";
import type { Table } from "./setting.ts";
import { agentSettings } from "./tables/agent.ts";
import { connectionSettings } from "./tables/connection.ts";
import { ignoredSettings } from "./tables/ignored.ts";
import { jobsSettings } from "./tables/jobs.ts";

/** Every setting of `outpost start` (spec/02 §6.1 for Coder's names, which mean the same here). */
export const startSettings = {
  ...connectionSettings,
  ...jobsSettings,
  ...agentSettings,
  ...ignoredSettings,
} as const;

/** The same in the groups that help and docs show. */
export const settingGroups: ReadonlyArray<{ title: string; table: Table }> = [
  { title: "Connection", table: connectionSettings },
  { title: "Jobs", table: jobsSettings },
  { title: "Agent", table: agentSettings },
];

export type StartSettings = Resolved<typeof startSettings>["values"];

/** Rules between settings, in the order of spec/02 §6.1; each names the thing and the cure. */
export function startProblems({
  values: v,
  problems: found,
}: Pick<Resolved<typeof startSettings>, "values" | "problems">): Problem[] {
  const problems: Problem[] = [];
  const add = (place: string, problem: string) => problems.push({ place, text: problem });
  if (!v.url && !found.some(({ setting }) => setting === "url"))
    add("CODER_URL (--url)", "is missing: the URL of the control plane, such as https://coder.example.com");
  const keys = [v.key && "--key", v.keyFile && "--key-file", v.keyCommand && "--key-command"].filter(Boolean);
  const key = keys.length > 0;
  if (!key && !v.psk && !v.token)
    add(
      "CODER_PROVISIONER_DAEMON_KEY (--key)",
      "is missing: make one with coder provisioner keys create NAME --org ORG",
    );
  if (v.organization && (key || v.psk)) add("--org", "only with a user token: a key belongs to its organization");
  if (key && v.psk) add(`${keys[0]}, --psk`, "only one of them: remove the PSK");
  if (keys.length > 1) add(keys.join(", "), "only one of them");
  if (key && v.tags.length > 0) add("--tag", "not with a key: the key's own tags count; make a key with these tags");
  if (v.psk && v.tags.some((tag) => tag.startsWith("scope=user")))
    add("--tag scope=user", "not with a PSK: it would match nobody's jobs");
  if (Boolean(v.certFile) !== Boolean(v.certKeyFile))
    add("--client-tls-cert-file, --client-tls-key-file", "only together");
  if (v.once && v.maxJobs > 1) add("--once, --max-jobs", "only one of them");
  return problems;
}
