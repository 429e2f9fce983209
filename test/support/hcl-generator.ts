/** A source of chance, [0, 1). */
type Random = () => number;

const pick = <T>(random: Random, values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
const upTo = (random: Random, limit: number) => Math.floor(random() * limit);
const some = (random: Random, most: number, make: () => string) => Array.from({ length: upTo(random, most + 1) }, make);

const words = ["a", "b2", "c-d", "_e", "é", "f_g"];
const texts = [
  "x",
  "two words",
  "$${n}",
  "%%{n}",
  "\\n",
  '\\"',
  "\\\\",
  "\\u00e9",
  "ü",
  "😀",
  "$",
  "%",
  "#",
  "'",
  "} {",
  "",
];

/** Constant expressions of native syntax that Terraform accepts. */
export function constantSource(random: Random, depth = 3): string {
  const inner = () => constantSource(random, depth - 1);
  if (depth === 0) return simple(random);
  switch (upTo(random, 9)) {
    case 0:
      return `[${some(random, 3, inner).join(pick(random, [", ", ",\n", ",\n# c\n"]))}${pick(random, ["", "\n"])}]`;
    case 1:
    case 2: {
      const names = new Set(some(random, 3, () => pick(random, words)));
      const items = [...names].map(
        (name) => `${pick(random, [name, `"${name}"`])} ${pick(random, ["=", ":"])} ${inner()}`,
      );
      // A heredoc ends its line by itself, and a comma on the next one would be an item.
      const separator = pick(random, ["\n", ",\n", " # c\n"]);
      return `{\n${items.map((item) => item + (item.endsWith("\n") ? "" : separator)).join("")}}`;
    }
    case 3:
      return `(${inner()})`;
    case 4:
      return `"${some(random, 3, () => pick(random, texts)).join("")}"`;
    default:
      return simple(random);
  }
}

function simple(random: Random): string {
  switch (upTo(random, 5)) {
    case 0:
      return pick(random, ["true", "false", "null"]);
    case 1:
      return pick(random, ["0", "1", "42", "1.5", "0.25", "1e3", "2.5E-2", "-7", "- 7"]);
    case 2:
      return heredoc(random);
    default:
      return `"${pick(random, texts)}"`;
  }
}

function heredoc(random: Random): string {
  const line = () => `${" ".repeat(upTo(random, 5))}${pick(random, ["x", "y z", "$${a}", "\\n", "é", ""])}`;
  return `<<${pick(random, ["", "-"])}EOT\n${some(random, 4, () => `${line()}\n`).join("")}${pick(random, ["", "  "])}EOT\n`;
}

const pieces = [
  ..."{}()[]\",=:?.*+-/%!<>|&;`'\\$#~\n\r\t 0a_é",
  ...["${", "%{", "~}", "...", "=>", "for ", " in ", " if ", "<<E\n", "E\n", "/*", "*/", "::", "null", "$$", "1.5"],
];

/** A text with a few pieces put in, taken out or doubled. */
export function mutated(random: Random, text: string): string {
  let result = text;
  for (let count = 1 + upTo(random, 3); count > 0; count--) {
    const at = upTo(random, result.length + 1);
    const length = upTo(random, 5);
    const piece = pick(random, [pick(random, pieces), "", result.slice(at, at + length)]);
    result = result.slice(0, at) + piece + result.slice(at + (random() < 0.5 ? length : 0));
  }
  return result;
}

/** Every construct of the language in one file; it parses, and nothing in it need be defined. */
export const everyConstruct = `locals {
  a = [1, "x\${var.y}z", true ? a.b[0] : c[*].d, e.*.f, g.0]
  b = { k = 1, "q r" : foo(1, 2...), (z) = !x && y || -3 >= 2 }
  c = [for i, v in l : v if v != "%{ if a ~}b%{ else }c%{ endif }"]
  d = {for k, v in m : k => v...}
  e = <<-EOT
    hi \${name}
      %{ for x in y ~}
      \${x}
      %{ endfor ~}
  EOT
  # comment
  f = "\\u00e9\\n$\${x}" // c
  /* block */ g = (1 + 2) * 3 % 4
}
locals { h = 1.5e3 }
`;
