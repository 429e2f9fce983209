import type { Command, Option } from "commander";

/** The shells that a completion can be written for. */
export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

interface Place {
  /** Words that lead here, each after a blank: "", " config", " config print". */
  path: string;
  commands: ReadonlyArray<{ name: string; help: string }>;
  /** What the command's arguments may be, where that is a choice. */
  words: readonly string[];
  flags: ReadonlyArray<{ long: string; short: string; help: string; takesValue: boolean; words: readonly string[] }>;
}

/** A completion script out of the tree of commands. Words that it does not know complete as file names. */
export function completionScript(shell: Shell, root: Command): string {
  const places = placesOf(root, "");
  return { bash, zsh, fish }[shell](root.name(), places);
}

/** Every command by each of its names; hidden ones are left out. */
function placesOf(command: Command, path: string): Place[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command).filter((child) => child.name() !== "help");
  const here: Place = {
    path,
    commands: children.map((child) => ({ name: child.name(), help: firstSentence(child.description()) })),
    words: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    flags: help.visibleOptions(command).map(flagOf),
  };
  const below = children.flatMap((child) =>
    [child.name(), ...child.aliases()].flatMap((name) => placesOf(child, `${path} ${name}`)),
  );
  return [here, ...below];
}

function flagOf({ long, short, required, flags, description, argChoices }: Option): Place["flags"][number] {
  // The words of a choice stand in the flag's form: --isolation <auto|process|none>.
  const form = /<([\w-]+(?:\|[\w-]+)+)>/.exec(flags)?.[1]?.split("|") ?? [];
  return {
    long: long ?? "",
    short: short ?? "",
    help: firstSentence(description),
    takesValue: required,
    words: argChoices ?? form,
  };
}

/** Short enough for a menu, and without what would break a script's quotes. */
const firstSentence = (text: string) =>
  (text.split(/[.:;([]/, 1)[0] ?? "")
    .replaceAll(/["'`\\$]/g, "")
    .trim()
    .slice(0, 70);

const wordsAt = ({ commands, flags, words }: Place) => [
  ...commands.map(({ name }) => name),
  ...words,
  ...flags.flatMap(({ long, short }) => [long, short].filter(Boolean)),
];

/** The part that bash and zsh share: `path` becomes the place of the cursor. */
const walk = (words: string, places: readonly Place[]) => `  local path_ word_
  for word_ in ${words}; do
    case "$path_ $word_" in
      ${
        places
          .map(({ path }) => `"${path}"`)
          .slice(1)
          .join("|") || '" "'
      }) path_="$path_ $word_" ;;
    esac
  done`;

const choices = (places: readonly Place[], line: (words: readonly string[]) => string) =>
  places.flatMap(({ path, flags }) =>
    flags.filter(({ words }) => words.length > 0).map(({ long, words }) => `    "${path} ${long}") ${line(words)} ;;`),
  );

const bash = (name: string, places: readonly Place[]) => `# ${name} completion bash >/etc/bash_completion.d/${name}
_${name}() {
${walk('"${COMP_WORDS[@]:1:COMP_CWORD-1}"', places)}
  local words_=""
  case "$path_ \${COMP_WORDS[COMP_CWORD-1]}" in
${choices(places, (words) => `words_="${words.join(" ")}"`).join("\n")}
    *)
      case "$path_" in
${places.map((place) => `        "${place.path}") words_="${wordsAt(place).join(" ")}" ;;`).join("\n")}
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words_" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${name} ${name}
`;

const zsh = (name: string, places: readonly Place[]) => `#compdef ${name}
# ${name} completion zsh >"\${fpath[1]}/_${name}"
_${name}() {
${walk('"${(@)words[2,CURRENT-1]}"', places)}
  local -a words_
  case "$path_ \${words[CURRENT-1]}" in
${choices(places, (words) => `words_=(${words.join(" ")})`).join("\n")}
    *)
      case "$path_" in
${places.map((place) => `        "${place.path}") words_=(${described(place).join(" ")}) ;;`).join("\n")}
      esac ;;
  esac
  _describe ${name} words_ || _files
}
if [ "$funcstack[1]" = "_${name}" ]; then _${name} "$@"; else compdef _${name} ${name}; fi
`;

const described = ({ commands, flags, words }: Place) =>
  [
    ...commands,
    ...words.map((name) => ({ name, help: "" })),
    ...flags.map(({ long, help }) => ({ name: long, help })),
  ].map(({ name, help }) => `"${name}:${help}"`);

const fish = (
  name: string,
  places: readonly Place[],
) => `# ${name} completion fish >~/.config/fish/completions/${name}.fish
function __${name}_at
    set -l path_ ''
    for word_ in (commandline -opc)[2..-1]
        if contains -- "$path_ $word_" ${places.map(({ path }) => `'${path}'`).join(" ")}
            set path_ "$path_ $word_"
        end
    end
    test "$path_" = "$argv[1]"
end
${places.flatMap((place) => fishLines(name, place)).join("\n")}
`;

function fishLines(name: string, { path, commands, flags, words: own }: Place): string[] {
  const start = `complete -c ${name} -n '__${name}_at "${path}"'`;
  return [
    ...commands.map((command) => `${start} -f -a ${command.name} -d '${command.help}'`),
    ...(own.length > 0 ? [`${start} -f -a '${own.join(" ")}'`] : []),
    ...flags.map(({ long, short, help, takesValue, words }) => {
      const letter = short ? ` -s ${short.slice(1)}` : "";
      const value = words.length > 0 ? ` -x -a '${words.join(" ")}'` : takesValue ? " -r" : "";
      return `${start} -l ${long.slice(2)}${letter}${value} -d '${help}'`;
    }),
  ];
}
