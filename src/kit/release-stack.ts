/** Things that were acquired one after the other; disposing releases them in reverse, all of them, and throws the first error. */
export class ReleaseStack implements AsyncDisposable {
  readonly #releases: Array<() => unknown> = [];

  use(resource: AsyncDisposable | Disposable): void {
    this.add(() => (Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose]()));
  }

  add(release: () => unknown): void {
    this.#releases.push(release);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await release();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
