export interface Family {
  help: string;
  type: string;
  samples: Array<{ name: string; labels: Record<string, string>; value: number }>;
}

/** Reads Prometheus' text format 0.0.4 as strictly as its grammar says; throws for any line that is not of it. */
export function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let current: [string, Family] | undefined;
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP ([a-zA-Z_:][\w:]*) (.*)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)$/.exec(line);
    if (help) {
      const [, name = "", words = ""] = help;
      if (families.has(name)) throw new Error(`"${name}" is there twice`);
      current = [name, { help: unescaped(words), type: "", samples: [] }];
      families.set(...current);
    } else if (type) {
      if (!current || current[0] !== type[1]) throw new Error(`TYPE without HELP: ${line}`);
      current[1].type = type[2] ?? "";
    } else {
      const sample = sampleOf(line);
      if (!current) throw new Error(`a sample before its HELP: ${line}`);
      const [name, family] = current;
      const suffixes = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      if (!suffixes.some((suffix) => sample.name === name + suffix))
        throw new Error(`not a sample of "${name}": ${line}`);
      family.samples.push(sample);
    }
  }
  return families;
}

function sampleOf(line: string): Family["samples"][number] {
  const [, name = "", , inside = "", number = ""] =
    /^([a-zA-Z_:][\w:]*)(\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)+)\})? (\S+)$/.exec(line) ?? [];
  if (!name) throw new Error(`no line of the format: ${line}`);
  const labels: Record<string, string> = {};
  for (const [, label = "", value = ""] of inside.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g))
    labels[label] = unescaped(value);
  const value = number === "+Inf" ? Number.POSITIVE_INFINITY : Number(number);
  if (Number.isNaN(value)) throw new Error(`no number: ${line}`);
  return { name, labels, value };
}

const unescaped = (text: string) => text.replaceAll(/\\(.)/g, (_, next: string) => (next === "n" ? "\n" : next));
