/** What lines of an engine tell about how far it is: for a screen, never for a decision. */
export class Progress {
  #total = 0;
  #done = 0;

  /** The new standing if this line changed it. */
  read(output: string): { done: number; total: number } | undefined {
    // Lines of an engine are short; a long one is something else.
    if (output.length > 1_024) return undefined;
    const plan = /^Plan: (\d{1,6}) to add, (\d{1,6}) to change, (\d{1,6}) to destroy/.exec(output);
    if (plan) {
      this.#total = Number(plan[1]) + Number(plan[2]) + Number(plan[3]);
      this.#done = 0;
    } else if (/: (?:Creation|Modifications|Destruction) complete after /.test(output)) {
      this.#done++;
    } else {
      return undefined;
    }
    return { done: this.#done, total: this.#total };
  }
}
