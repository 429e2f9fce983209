import { GraphError } from "./errors.ts";

const pattern = "^[a-z0-9](-?[a-z0-9])*$";
const agentPattern = `(?i)${pattern}`;

/**
 * Checks agent names, one after another, over a whole template (spec/04 §6). A name that was seen stays taken.
 * @throws GraphError `agent_name_empty`, `agent_name_underscore`, `agent_name_regex`, `duplicate_agent_name`
 */
export function agentNames(): (name: string) => void {
  const taken = new Set<string>();
  return (name) => {
    if (name === "") throw new GraphError("agent_name_empty", "agent name cannot be empty");
    if (!isHyphenated(name, /[^a-z0-9-]/iu)) {
      const quoted = JSON.stringify(name);
      if (name.includes("_")) {
        const advice = `please use hyphens instead (regex: "${agentPattern}")`;
        const message = `agent name ${quoted} contains underscores which are no longer supported, ${advice}`;
        throw new GraphError("agent_name_underscore", message);
      }
      throw new GraphError("agent_name_regex", `agent name ${quoted} does not match regex "${agentPattern}"`);
    }
    const key = name.toLowerCase();
    if (taken.has(key)) throw new GraphError("duplicate_agent_name", `duplicate agent name: ${name}`);
    taken.add(key);
  };
}

/**
 * Checks app slugs, one after another, over a whole template (spec/04 §6).
 * @throws GraphError `app_slug_regex`, `duplicate_app_slug`
 */
export function appSlugs(): (slug: string) => void {
  const taken = new Set<string>();
  return (slug) => {
    const quoted = JSON.stringify(slug);
    if (!isHyphenated(slug, /[^a-z0-9-]/)) {
      throw new GraphError("app_slug_regex", `app slug ${quoted} does not match regex "${pattern}"`);
    }
    if (taken.has(slug)) {
      throw new GraphError("duplicate_app_slug", `duplicate app slug, they must be unique per template: ${quoted}`);
    }
    taken.add(slug);
  };
}

/** The pattern above in a form that never backtracks: a long name would exhaust the stack of the regular expression. */
function isHyphenated(text: string, foreign: RegExp): boolean {
  return text !== "" && !foreign.test(text) && !text.startsWith("-") && !text.endsWith("-") && !text.includes("--");
}
