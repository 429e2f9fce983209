import { pageScript } from "./script.ts";
import { pageStyle } from "./style.ts";

export { pageScript, pageStyle };

/** The status page: one document with its style and its script inside. All it shows comes from `/status`, put in as text. */
export function pageHtml(): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Outpost</title>
<style>${pageStyle}</style>
</head>
<body>
<header>
  <h1 id="name">Outpost</h1>
  <span id="organization" class="dim"></span>
  <strong id="state" role="status" aria-live="polite">loading</strong>
  <span id="why" class="dim"></span>
  <span class="gap"></span>
  <span id="age" class="dim"></span>
  <button id="theme" type="button" title="light or dark">◐ <span id="theme-name">auto</span></button>
</header>
<noscript><p class="alert">This page needs JavaScript. The same in a terminal: <code>outpost status</code></p></noscript>
<p id="lost" class="alert" role="alert" hidden></p>
<main id="main">
  <section id="person" class="alert" role="alert" aria-label="Needs a person" hidden></section>
  <section id="bars" aria-label="Figures"></section>
  <p id="hidden" class="note" hidden>Names of owners and workspaces, and what jobs say, are hidden. To see them, open the address that this prints: <code>outpost status --web</code></p>
  <section><h2>Running</h2><div id="running"></div></section>
  <section><h2>Last jobs <span id="today" class="dim"></span></h2><div id="ended"></div></section>
  <section id="boxes"></section>
  <section><h2>Last problems</h2><div id="problems"></div></section>
</main>
<script>${pageScript}</script>
</body>
</html>
`;
}
