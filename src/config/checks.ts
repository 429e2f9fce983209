/** Checks of texts that several settings share: what should be, or undefined. */
export const isUrl = (value: string): string | undefined =>
  URL.canParse(/^\w+:\/\//.test(value) ? value : `https://${value}`)
    ? undefined
    : "must be a URL such as https://coder.example.com";

export const isPair = (value: string): string | undefined => (value.includes("=") ? undefined : "must be KEY=VALUE");

/** HOST:PORT; the host may be empty, for every address. */
export const isAddress = (value: string): boolean =>
  /^\S*:\d{1,5}$/.test(value) && Number(value.slice(value.lastIndexOf(":") + 1)) < 65_536;

/** A filter of log lines; Go writes its flags in front, as in `(?i)link`. Undefined for what is no regular expression. */
export function logPattern(value: string): RegExp | undefined {
  const [, flags = "", pattern = ""] = /^(?:\(\?([ims]+)\))?(.*)$/s.exec(value) ?? [];
  try {
    return new RegExp(pattern, flags);
  } catch {
    return undefined;
  }
}
