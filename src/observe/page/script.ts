/**
 * The page's program, as browsers get it: no build step, no library. Whatever a template may have written goes in by
 * `textContent`. It asks every 2 s and redraws only what is different, so that focus, selection and open jobs stay.
 */
export const pageScript = String.raw`
"use strict";
const everyMs = 2000;
const staleMs = 7000;
const quietMs = 300000;
const byId = (id) => document.getElementById(id);

// The token comes once, in the fragment, which no server sees; it must not stay in the address bar.
let token = "";
try {
  const given = /[#&]token=([\w-]+)/.exec(location.hash);
  if (given) {
    sessionStorage.setItem("outpost-token", given[1]);
    history.replaceState(null, "", location.pathname);
  }
  token = sessionStorage.getItem("outpost-token") || "";
} catch { /* A browser that keeps nothing shows no names. */ }

/** An element with a class, text or children. */
function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content.filter((part) => part !== undefined && part !== ""));
  return element;
}

function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return s + "s";
  if (s < 3600) return Math.floor(s / 60) + "m" + two(s % 60) + "s";
  if (s < 86400) return Math.floor(s / 3600) + "h" + two(Math.floor(s / 60) % 60) + "m";
  const days = Math.floor(s / 86400);
  return days < 10 ? days + "d" + Math.floor(s / 3600) % 24 + "h" : days + "d";
}
const clockTime = (ms) => new Date(ms).toTimeString().slice(0, 5);
const gib = (bytes) => (bytes / 1073741824).toFixed(1);

/** Redraws a part only where what it shows is different. */
const drawn = new Map();
function draw(id, facts, build) {
  const key = JSON.stringify(facts);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  byId(id).replaceChildren(...build());
}

function cure(text) {
  const button = make("button", "", "copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      button.textContent = "select it by hand";
    }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  });
  return make("p", "cure", make("code", "", text), button);
}

function problemParts(problem) {
  const parts = [make("p", "", make("strong", "", (problem.forWhom ? problem.forWhom + ": " : "") + problem.what))];
  if (problem.cause) parts.push(make("p", "", problem.cause));
  if (problem.cure) parts.push(cure(problem.cure));
  return parts;
}

function bar(name, value, share, note, tone) {
  const fill = make("span", "fill");
  fill.style.width = Math.round(100 * Math.min(1, Math.max(0, share))) + "%";
  fill.style.background = "var(--" + tone + ")";
  const track = make("div", "track", fill);
  const card = make("div", "card bar", make("div", "top", make("span", "", name), make("strong", "", value)), track,
    make("small", "dim", note));
  card.setAttribute("role", "group");
  card.setAttribute("aria-label", name + ": " + value + (note ? ", " + note : ""));
  return card;
}
const fullness = (share) => share > 0.95 ? "bad" : share > 0.85 ? "warn" : "accent";

function bars(s) {
  const { link, machine, running, slots } = s;
  const up = link.kind === "connected";
  const busy = running.length / slots;
  const version = [link.server, link.protocol && "protocol " + link.protocol].filter(Boolean).join(", ");
  const figure = (name, figure, note) => figure
    ? bar(name, gib(figure.used) + " of " + gib(figure.of) + " GiB", figure.used / figure.of, note, fullness(figure.used / figure.of))
    : bar(name, "unknown", 0, note, "accent");
  const cpu = machine.cpu ? "CPU " + machine.cpu.used.toFixed(1) + " of " + machine.cpu.of : "";
  return [
    bar("connection", up ? span(s.at - link.since) : link.kind, up ? 1 : 0.04, up ? version : link.lastError || "", up ? "good" : "bad"),
    bar("slots", running.length + " of " + slots + " busy", busy, s.phase === "running" ? (slots - running.length) + " free" : s.phase, "accent"),
    figure("memory", machine.memory, cpu),
    figure("cache", machine.cache, "engines and providers"),
  ];
}

const expected = {
  import: ["init", "parse", "plan", "graph"],
  "dry-run": ["init", "plan", "graph"],
  start: ["init", "plan", "apply", "graph"],
  stop: ["init", "plan", "apply", "graph"],
  delete: ["init", "plan", "apply", "graph"],
};
const unshown = new Set(["open", "download", "report", "variables", "quota"]);

function whose(job, tag) {
  if (!job.forWhom && !job.template) return make(tag, "dim", "hidden");
  return make(tag, "", job.forWhom, make("span", "dim", job.template ? "  " + job.template : ""));
}

function stages(job) {
  const line = make("span", "stages");
  const seen = new Set(job.steps.map(({ name }) => name));
  const add = (name, className, word) => {
    const one = make("span", "stage " + className, name);
    one.title = word;
    line.append(one);
  };
  for (const { name, ms, ok } of job.steps) {
    if (ms === undefined) {
      const count = name === "apply" && job.total ? " " + job.done + "/" + job.total : "";
      add(name + count, "now", "running");
    } else if (!unshown.has(name)) add(name, ok ? "done" : "failed", (ok ? "done in " : "failed after ") + span(ms));
  }
  for (const name of expected[job.kind] || []) if (!seen.has(name)) add(name, "", "to come");
  return line;
}

/** Running jobs keep their elements: an open one stays open, a focused one focused. */
const jobs = new Map();
function drawRunning(s) {
  const box = byId("running");
  for (const [id, view] of jobs) if (!s.running.some((job) => job.id === id)) { view.root.remove(); jobs.delete(id); }
  const order = [];
  for (const job of s.running) {
    let view = jobs.get(job.id);
    if (!view) {
      view = { head: make("summary"), facts: make("p", "dim"), log: make("pre"), root: make("details", "card"), key: "", text: "" };
      view.log.tabIndex = 0;
      view.log.setAttribute("aria-label", "Last lines of job " + job.id);
      view.root.append(view.head, make("div", "body", view.facts, view.log));
      jobs.set(job.id, view);
    }
    const quiet = s.at - job.heardAt;
    const last = job.interrupted ? "interrupted: " + job.interrupted
      : quiet >= quietMs ? "quiet for " + span(quiet) : job.lines[job.lines.length - 1] || "";
    const key = JSON.stringify([job.steps, job.done, job.total, last, Math.floor((s.at - job.startedAt) / 1000)]);
    if (key !== view.key) {
      view.key = key;
      const tone = job.interrupted || quiet >= quietMs ? "last warn" : "last dim";
      const id = make("span", "mono", job.id.slice(0, 8));
      id.title = job.id;
      const mark = make("span", "mark", "›");
      mark.setAttribute("aria-hidden", "true");
      const whom = whose(job, "span");
      whom.classList.add("whom");
      view.head.replaceChildren(mark, make("span", "dim", "#" + job.slot), id, make("span", "", job.kind), whom, stages(job),
        make("span", "right age", span(s.at - job.startedAt)), make("span", tone, last));
      view.facts.textContent = "job " + job.id + ", isolation " + s.agent.isolation + ", " + s.agent.engine;
    }
    const text = s.namesHidden ? "hidden: outpost status --web" : job.lines.join("\n") || "nothing yet";
    if (text !== view.text) {
      view.text = text;
      const atEnd = view.log.scrollTop + view.log.clientHeight >= view.log.scrollHeight - 8;
      view.log.textContent = text;
      if (atEnd) view.log.scrollTop = view.log.scrollHeight;
    }
    order.push(view.root);
  }
  const free = s.slots - s.running.length;
  let rest = byId("free");
  if (!rest) { rest = make("p", "card free empty"); rest.id = "free"; }
  rest.textContent = (free === 1 ? "1 slot" : free + " slots") + (s.ready ? " free, waiting for jobs" : " free, taking no jobs: " + s.notReady.join("; "));
  rest.hidden = free === 0;
  order.push(rest);
  // Moving an element that is in place already would take its focus away.
  order.forEach((element, index) => { if (box.children[index] !== element) box.insertBefore(element, box.children[index] || null); });
}

function endedTable(s) {
  if (s.ended.length === 0) return [make("p", "card empty", "none yet")];
  const head = make("tr");
  for (const name of ["at", "job", "kind", "for whom", "result", "took", "reason"]) {
    const cell = make("th", name === "took" ? "right" : "", name);
    cell.scope = "col";
    head.append(cell);
  }
  const body = make("tbody");
  for (const job of s.ended) {
    const tone = job.status === "succeeded" ? "good" : job.status === "failed" ? "bad" : "warn";
    const id = make("td", "mono tight", job.id.slice(0, 8));
    id.title = job.id;
    const times = make("td", "right tight", span(job.endedAt - job.startedAt));
    times.title = job.steps.map(({ name, ms }) => name + " " + ((ms || 0) / 1000).toFixed(1)).join("  ");
    body.append(make("tr", "", make("td", "tight dim", clockTime(job.endedAt)), id, make("td", "tight", job.kind),
      whose(job, "td"), make("td", "tight " + tone, job.status), times,
      make("td", "reason", [job.blame, job.reason].filter(Boolean).join(": "))));
  }
  const scroll = make("div", "scroll", make("table", "", make("thead", "", head), body));
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Last jobs");
  return [scroll];
}

function boxes(s) {
  const { agent, key, link } = s;
  const list = (title, rows) => {
    const dl = make("dl");
    for (const [name, value] of rows) if (value) dl.append(make("dt", "", name), make("dd", "", value));
    return make("div", "card", make("h2", "", title), dl);
  };
  const age = key && key.ageMs !== undefined ? ", " + span(key.ageMs) + " old" : "";
  return [
    list("Who I am", [["name", agent.name], ["organization", agent.organization], ["key", key ? key.name + age : ""],
      ["version", agent.version], ["control plane", link.url], ["state folder", agent.stateFolder]]),
    list("What I take", [["jobs", agent.takes], ["slots", String(s.slots)], ["engine", agent.engine]]),
    list("How jobs are held", [["isolation", agent.isolation], ["jobs may see", agent.jobsSee]]),
  ];
}

function todayWords({ jobs, failed, byBlame, p95BuildMs }) {
  const why = Object.entries(byBlame).map(([name, count]) => count + " " + name).join(", ");
  return "today " + jobs + (jobs === 1 ? " job, " : " jobs, ") + failed + " failed" + (why ? " (" + why + ")" : "")
    + (p95BuildMs === undefined ? "" : ", p95 build " + span(p95BuildMs));
}

function show(s) {
  const state = s.ready ? "READY" : s.phase !== "running" ? s.phase.toUpperCase() : "NOT READY";
  document.title = s.running.length + "/" + s.slots + " " + state;
  byId("name").textContent = s.agent.name;
  byId("organization").textContent = s.agent.organization;
  if (byId("state").textContent !== state) byId("state").textContent = state;
  byId("state").className = s.ready ? "good" : s.link.kind === "refused" ? "bad" : "warn";
  byId("why").textContent = s.ready ? "" : s.notReady.join("; ");
  byId("person").hidden = s.person.length === 0;
  draw("person", s.person, () => [make("strong", "bad", "A person is needed"), ...s.person.flatMap(problemParts)]);
  draw("bars", [s.link, s.machine, s.running.length, s.phase, span(s.at - s.link.since)], () => bars(s));
  byId("hidden").hidden = !s.namesHidden;
  drawRunning(s);
  byId("today").textContent = todayWords(s.today);
  draw("ended", s.ended, () => endedTable(s));
  draw("boxes", [s.agent, s.key && [s.key.name, span(s.key.ageMs || 0)], s.link.url], () => boxes(s));
  draw("problems", s.problems, () => s.problems.length === 0 ? [make("p", "card empty", "none")]
    : s.problems.map((one) => make("div", "card problem", make("span", "dim", clockTime(one.at) + "  " + (one.code || "")), ...problemParts(one))));
}

let heard;
let trouble = "";
function tick() {
  const age = heard === undefined ? undefined : performance.now() - heard;
  byId("age").textContent = age === undefined ? "" : "updated " + span(age) + " ago";
  const stale = trouble !== "" || (age !== undefined && age > staleMs);
  document.documentElement.classList.toggle("stale", stale);
  byId("lost").hidden = !stale;
  if (stale) {
    const words = "No answer from the agent" + (age === undefined ? "" : " for " + span(age))
      + (trouble ? ": " + trouble : "") + ". What you see is old. Asking again every 2 s.";
    if (byId("lost").textContent !== words) byId("lost").textContent = words;
    document.title = "? LOST";
  }
}

async function poll() {
  try {
    const answer = await fetch("/status", {
      headers: token ? { authorization: "Bearer " + token } : {}, cache: "no-store", signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) throw new Error("it answered " + answer.status);
    const snapshot = await answer.json();
    heard = performance.now();
    trouble = "";
    show(snapshot);
  } catch (error) {
    trouble = error instanceof TypeError ? "it does not listen any more, or the way to it is gone" : error.message;
  }
  tick();
  setTimeout(poll, everyMs);
}

const systemDark = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
try { theme = localStorage.getItem("outpost-theme") || "auto"; } catch { /* Then the system's. */ }
function applyTheme() {
  document.documentElement.dataset.theme = theme === "auto" ? (systemDark.matches ? "dark" : "light") : theme;
  byId("theme-name").textContent = theme;
}
systemDark.addEventListener("change", applyTheme);
byId("theme").addEventListener("click", () => {
  theme = { auto: "light", light: "dark", dark: "auto" }[theme] || "auto";
  try { localStorage.setItem("outpost-theme", theme); } catch { /* Until the page is loaded again. */ }
  applyTheme();
});
applyTheme();
setInterval(tick, 1000);
poll();
`;
