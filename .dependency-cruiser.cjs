/**
 * The table of rooms: who may import whom. Imports go down, never up; `npm run rooms` reads the real imports.
 * A new room, or a new arrow, is a change of design: say why in docs/decisions/.
 */
const rooms = {
  kit: [],
  gen: [],
  contract: ["gen", "kit"],
  wire: ["kit"],
  redact: ["kit"],
  archive: ["contract", "kit"],
  engine: ["kit"],
  template: ["gen", "kit"],
  graph: ["gen", "kit"],
  session: ["wire", "gen", "contract", "kit"],
  terraform: ["session", "archive", "engine", "template", "graph", "contract", "gen", "kit"],
  sandbox: ["wire", "kit"],
  journal: ["kit"],
  link: ["wire", "gen", "contract", "archive", "kit"],
  job: ["session", "redact", "gen", "contract", "kit"],
  policy: ["contract", "kit"],
  agent: ["job", "journal", "policy", "kit"],
  plane: ["wire", "gen", "contract", "archive", "kit"],
  observe: ["kit"],
  local: ["plane", "gen", "kit"],
  config: ["kit"],
};

const forbidden = Object.entries(rooms).map(([room, may]) => ({
  name: `room-${room}`,
  comment: `${room} may import: ${may.join(", ") || "nothing"}`,
  severity: "error",
  from: { path: `^src/${room}/` },
  to: { path: "^src/", pathNot: [room, ...may].map((name) => `^src/${name}/`) },
}));

// terraform/ sees the session's types, never its client or host.
forbidden.push({
  name: "terraform-sees-session-types-only",
  severity: "error",
  from: { path: "^src/terraform/" },
  to: { path: "^src/session/", pathNot: "^src/session/types\\.ts$" },
});
forbidden.push({ name: "no-cycles", severity: "error", from: {}, to: { circular: true } });
forbidden.push({
  name: "no-development-package-in-the-product",
  severity: "error",
  from: { path: "^src/" },
  to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"] },
});

module.exports = {
  forbidden,
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: {
      extensions: [".ts", ".js", ".json"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
    },
  },
};
