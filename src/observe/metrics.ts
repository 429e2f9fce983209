/** Buckets of Coder's histograms of times, in seconds (spec/02 §6.3). */
export const timeBuckets = [1, 10, 30, 60, 300, 600, 1_800, 3_600] as const;

/** One metric has at most so many combinations of labels: a scrape stays below a megabyte. What comes later is counted as `other`. */
const maxSeries = 1_000;

export type Labels<Name extends string> = Readonly<Record<Name, string>>;

/** One line of an exposition. */
interface Sample {
  suffix: string;
  labels: ReadonlyArray<readonly [string, string]>;
  value: number;
}

interface Metric {
  name: string;
  type: "counter" | "gauge" | "histogram";
  help: string;
  samples(): Iterable<Sample>;
}

/** The metrics of one process, and their text. */
export class Registry {
  readonly #metrics: Metric[] = [];

  /** A number that only grows; its name ends in `_total`. */
  counter<Name extends string = never>(name: string, help: string, names: readonly Name[]) {
    const series = new Series<{ value: number }, Name>(names, () => ({ value: 0 }));
    this.#add({ name, type: "counter", help, samples: () => valueSamples(series) });
    return {
      add: (labels: Labels<Name>, by = 1): void => {
        series.of(labels).value += by;
      },
    };
  }

  /** A number that is what it is now. */
  gauge<Name extends string = never>(name: string, help: string, names: readonly Name[]) {
    const series = new Series<{ value: number }, Name>(names, () => ({ value: 0 }));
    this.#add({ name, type: "gauge", help, samples: () => valueSamples(series) });
    return {
      add: (labels: Labels<Name>, by: number): void => {
        series.of(labels).value += by;
      },
      set: (labels: Labels<Name>, value: number): void => {
        series.of(labels).value = value;
      },
    };
  }

  /** A number that is asked for at each scrape; undefined leaves it out. */
  ask(type: "counter" | "gauge", name: string, help: string, read: () => number | undefined): void {
    const samples = function* () {
      const value = read();
      if (value !== undefined) yield { suffix: "", labels: [], value };
    };
    this.#add({ name, type, help, samples });
  }

  /** How often something took how long, in seconds. */
  histogram<Name extends string = never>(
    name: string,
    help: string,
    names: readonly Name[],
    buckets: readonly number[] = timeBuckets,
  ) {
    const empty = () => ({ counts: buckets.map(() => 0), sum: 0, count: 0 });
    const series = new Series<ReturnType<typeof empty>, Name>(names, empty);
    const samples = function* () {
      for (const [labels, { counts, sum, count }] of series) {
        for (const [index, bound] of buckets.entries())
          yield { suffix: "_bucket", labels: [...labels, ["le", String(bound)] as const], value: counts[index] ?? 0 };
        yield { suffix: "_bucket", labels: [...labels, ["le", "+Inf"] as const], value: count };
        yield { suffix: "_sum", labels, value: sum };
        yield { suffix: "_count", labels, value: count };
      }
    };
    this.#add({ name, type: "histogram", help, samples });
    return {
      observe: (labels: Labels<Name>, value: number): void => {
        const found = series.of(labels);
        found.sum += value;
        found.count++;
        for (const [index, bound] of buckets.entries())
          if (value <= bound) found.counts[index] = (found.counts[index] ?? 0) + 1;
      },
    };
  }

  /** Prometheus' text format 0.0.4. A metric without samples is left out. */
  text(): string {
    const lines: string[] = [];
    for (const { name, type, help, samples } of this.#metrics) {
      const own = [...samples()].map(
        (sample) => `${name}${sample.suffix}${braces(sample.labels)} ${number(sample.value)}`,
      );
      if (own.length === 0) continue;
      lines.push(`# HELP ${name} ${escaped(help, /[\\\n]/g)}`, `# TYPE ${name} ${type}`, ...own);
    }
    return `${lines.join("\n")}\n`;
  }

  #add(metric: Metric): void {
    if (this.#metrics.some(({ name }) => name === metric.name))
      throw new Error(`metric "${metric.name}" is there twice`);
    this.#metrics.push(metric);
  }
}

/** The combinations of labels that one metric has had. */
class Series<T, Name extends string> {
  readonly #all = new Map<string, [Array<readonly [string, string]>, T]>();

  constructor(
    private readonly names: readonly Name[],
    private readonly empty: () => T,
  ) {}

  of(labels: Labels<Name>): T {
    const key = JSON.stringify(this.names.map((name) => labels[name]));
    const found = this.#all.get(key);
    if (found) return found[1];
    if (this.#all.size >= maxSeries && !this.names.every((name) => labels[name] === "other")) {
      return this.of(Object.fromEntries(this.names.map((name) => [name, "other"])) as Labels<Name>);
    }
    const made = this.empty();
    this.#all.set(key, [this.names.map((name) => [name, labels[name]] as const), made]);
    return made;
  }

  [Symbol.iterator]() {
    return this.#all.values();
  }
}

function* valueSamples<Name extends string>(series: Series<{ value: number }, Name>): Iterable<Sample> {
  for (const [labels, { value }] of series) yield { suffix: "", labels, value };
}

function braces(labels: Sample["labels"]): string {
  if (labels.length === 0) return "";
  return `{${labels.map(([name, value]) => `${name}="${escaped(value, /[\\\n"]/g)}"`).join(",")}}`;
}

function escaped(text: string, which: RegExp): string {
  return text.replaceAll(which, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
