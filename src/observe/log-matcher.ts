/**
 * A log filter as a test. Filters were written for Go: a leading `(?i)` is understood. Throws SyntaxError for what is no
 * regular expression.
 */
export function logMatcher(filter: string): (text: string) => boolean {
  const anyCase = filter.startsWith("(?i)");
  const pattern = new RegExp(anyCase ? filter.slice(4) : filter, anyCase ? "iu" : "u");
  return (text) => pattern.test(text);
}
