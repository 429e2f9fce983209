/** Colours stand in one place, once for each of light and dark; `data-theme` is what the person chose. */
export const pageStyle = `
:root {
  color-scheme: light;
  --back: #f6f7f9; --card: #fff; --text: #1b1f24; --dim: #5b6571; --line: #d9dee4;
  --good: #1a7f37; --warn: #8a5a00; --bad: #b3261e; --bad-back: #fdecea; --accent: #0b63c5; --track: #e6eaef;
}
:root[data-theme=dark] {
  color-scheme: dark;
  --back: #0f1318; --card: #171c23; --text: #e4e8ed; --dim: #97a3b0; --line: #2b333d;
  --good: #4ac26b; --warn: #e0a93b; --bad: #ff8178; --bad-back: #351a1a; --accent: #6cb2ff; --track: #28303a;
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; max-width: 76rem; padding: 0 1rem 3rem; background: var(--back); color: var(--text); font: 14px/1.5 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; padding: .75rem 0; background: var(--back); border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 1.25rem; overflow-wrap: anywhere; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1rem; }
h2 .dim { font-weight: normal; margin-left: .5rem; }
.gap { flex: 1; }
.dim { color: var(--dim); }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
#state { padding: 0 .5rem; border-radius: 1rem; border: 1px solid currentColor; font-size: .85rem; letter-spacing: .03em; }
code, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .92em; }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .375rem; padding: .1rem .6rem; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: .25rem; }
.alert { margin: 1rem 0 0; padding: .75rem 1rem; background: var(--bad-back); border: 1px solid var(--bad); border-left-width: 5px; border-radius: .375rem; }
.alert p { margin: .25rem 0; }
.note { margin: 1rem 0 0; color: var(--dim); }
.note code { white-space: nowrap; }
.stale main { filter: grayscale(1); opacity: .5; }
.cure { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.cure code { padding: .15rem .5rem; background: var(--card); border: 1px solid var(--line); border-radius: .25rem; overflow-wrap: anywhere; }
#bars { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin-top: 1rem; }
.card { padding: .75rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; min-width: 0; }
.bar .top { display: flex; justify-content: space-between; gap: .5rem; }
.bar .track { height: .5rem; margin: .4rem 0; border-radius: .25rem; background: var(--track); overflow: hidden; }
.bar .fill { display: block; width: 100%; height: 100%; border: 0; }
.bar small { display: block; min-height: 1.5em; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: 100%; }
.free { padding: .5rem 1rem; }
details.card { margin-bottom: .5rem; padding: 0; }
summary { display: grid; grid-template-columns: 1rem 2rem 5.5rem 4.5rem minmax(7rem, 1fr) auto 4.5rem; gap: .1rem .75rem; align-items: center; padding: .5rem 1rem; cursor: pointer; }
summary > * { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: pre; }
summary .last { grid-column: 2 / -1; font-size: .93em; }
summary .mark { color: var(--dim); }
details[open] .mark { transform: rotate(90deg); }
summary:hover .mark { color: var(--accent); }
summary::-webkit-details-marker { display: none; }
.right { text-align: right; font-variant-numeric: tabular-nums; }
.stages { display: flex; align-items: center; gap: 0; white-space: nowrap; }
.stage { padding: 0 .5rem; border-radius: .25rem; border: 1px solid var(--line); color: var(--dim); }
.stage + .stage { margin-left: .25rem; }
.stage.done { color: var(--good); border-color: currentColor; }
.stage.failed { color: var(--bad); border-color: currentColor; }
.stage.now { color: var(--card); background: var(--accent); border-color: var(--accent); font-weight: 600; }
.body { padding: 0 1rem .75rem; border-top: 1px solid var(--line); }
pre { margin: .5rem 0 0; padding: .5rem .75rem; max-height: 24rem; overflow: auto; background: var(--back); border: 1px solid var(--line); border-radius: .375rem; font: .85em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
th, td { padding: .3rem .75rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
th { border-top: 0; color: var(--dim); font-weight: 500; white-space: nowrap; }
th.right { text-align: right; }
td.reason { overflow-wrap: anywhere; min-width: 12rem; }
td.tight { white-space: nowrap; }
#boxes { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: .75rem; margin-top: 1.75rem; }
#boxes h2 { margin: 0 0 .5rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .75rem; margin: 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
.problem { margin-bottom: .5rem; }
.problem p { margin: .15rem 0; overflow-wrap: anywhere; }
.empty { color: var(--dim); margin: 0; }
@media (max-width: 44rem) {
  summary { grid-template-columns: 1rem 2rem 5.5rem 1fr auto; }
  summary .whom, summary .stages { grid-column: 2 / -1; }
  summary .age { grid-column: 5; grid-row: 1; }
  .stages { flex-wrap: wrap; }
  .gap { display: none; }
}
@media (prefers-reduced-motion: no-preference) { .stage.now { animation: breathe 2s ease-in-out infinite; } }
@keyframes breathe { 50% { opacity: .65; } }
`;
