/** A turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Fails when the work has not settled after many turns: nothing in a fuzz run waits for time. */
export async function settles(what: string, work: Promise<unknown>, turns = 1000): Promise<void> {
  let open = true;
  const watched = work.then(
    () => undefined,
    () => undefined,
  );
  void watched.then(() => {
    open = false;
  });
  for (let n = 0; open && n < turns; n++) await turn();
  if (open) throw new Error(`${what}: hangs`);
}
