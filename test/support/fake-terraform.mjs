// A stand-in for the engine: notes each start, then does what the scenario beside it says. Runs under plain node.
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, lstatSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

const folder = dirname(process.argv[1]);
const args = process.argv.slice(2);
const state = "terraform.tfstate";

const command =
  args[0] !== "show" ? args[0] : !args.includes("-json") ? "show people" : args.length > 3 ? "show plan" : "show state";
const call = {
  command,
  args,
  cwd: process.cwd(),
  environment: process.env,
  stdin: readFileSync(0, "utf8"),
  state: existsSync(state) ? { text: readFileSync(state, "utf8"), mode: lstatSync(state).mode & 0o777 } : null,
  pid: process.pid,
};

const steps = JSON.parse(readFileSync(join(folder, "scenario.json"), "utf8"));
const step = { ...defaults()[command], ...steps[command] };
process.on("SIGINT", () => {
  appendFileSync(join(folder, "signals"), `${command} SIGINT\n`);
  if (step.hang === "until interrupted") finish();
});

for (const [path, text] of Object.entries(step.files ?? {})) writeFileSync(path, text);
for (const script of step.children ?? []) {
  const { pid } = spawn("/bin/sh", ["-c", script.run], { stdio: script.holdsPipe ? "inherit" : "ignore" });
  appendFileSync(join(folder, "children"), `${pid}\n`);
}
// Told last: whoever sees the call sees all that it did so far.
appendFileSync(join(folder, "calls.jsonl"), `${JSON.stringify(call)}\n`);
if (step.stderr) print(2, step.stderr);
for (const { text, times = 1 } of [step.stdout ?? ""].flat().map((part) => (part.text ? part : { text: part }))) {
  for (let time = 0; time < times; time++) print(1, text);
}
if (step.bytes) print(1, Buffer.from(step.bytes, "hex"));
if (!step.hang) finish();
else setInterval(() => {}, 1 << 30);

function finish() {
  if (step.last) print(1, step.last);
  process.exit(step.exit ?? 0);
}

/** All of it, also where the pipe is full; it is full for as long as nobody reads. */
function print(fd, data) {
  let rest = Buffer.from(data);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function defaults() {
  return {
    version: { stdout: '{"terraform_version":"1.11.4"}\n' },
    "show plan": { stdout: '{"format_version":"1.2","planned_values":{"root_module":{}}}\n' },
    "show people": { stdout: "" },
    "show state": { stdout: '{"format_version":"1.0"}\n' },
    graph: { stdout: "digraph {}\n" },
    apply: { files: { [state]: '{"version":4,"serial":9,"lineage":"fake","resources":[]}' } },
  };
}
