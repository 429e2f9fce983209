import { scanObject, scanState } from "../kit/state-scan.ts";
import type { State, StateReading } from "./state-file.ts";

export interface Candidates {
  /** `terraform.tfstate`. */
  file: StateReading;
  /** `errored.tfstate`, which the engine writes where it can't save the state. */
  errored: StateReading;
  /** Out of the last emergency dump line of the output. */
  dump: State | undefined;
  /** The last good copy that was taken while the apply ran. */
  copy: State | undefined;
}

export interface Salvaged {
  /** Empty where there is none: the control plane then keeps what it has. */
  bytes: Uint8Array;
  /** Why it is not simply the state file; undefined where it is. */
  trouble: string | undefined;
}

/**
 * The state to report after an apply: the first valid one in the order of spec/03 §9.6, but never one with a lower
 * serial than another valid one has.
 */
export function salvage({ file, errored, dump, copy }: Candidates): Salvaged {
  const found: { name: string; state: State }[] = [];
  if (file.kind === "state") found.push({ name: "", state: file.state });
  if (errored.kind === "state") found.push({ name: '"errored.tfstate"', state: errored.state });
  if (dump) found.push({ name: "the emergency dump in the engine's output", state: dump });
  if (copy) found.push({ name: "the last copy taken while the apply ran", state: copy });
  const why = (reading: StateReading) => {
    if (reading.kind === "unusable") return reading.why;
    return reading.kind === "missing" ? "there is no such file" : "it is older";
  };
  const problem = `read statefile "terraform.tfstate": ${why(file)}`;
  if (found.length === 0)
    return { bytes: new Uint8Array(), trouble: `${problem}; no other copy of the state is whole` };
  const best = found.reduce((a, b) => ((b.state.head.serial ?? -1) > (a.state.head.serial ?? -1) ? b : a));
  return {
    bytes: best.state.bytes,
    trouble: best.name === "" ? undefined : `${problem}; the state comes from ${best.name}`,
  };
}

/** The state in an emergency dump line: its member `state`, as the bytes stand there (spec/03 §9.6). */
export function dumpedState(line: Uint8Array): State | undefined {
  let bytes: Uint8Array | undefined;
  scanObject(line, (name, start, end) => {
    if (name === "state") bytes = line.slice(start, end);
  });
  // A string instead of an object; the scan has seen that it is well-formed.
  if (bytes?.[0] === '"'.charCodeAt(0)) bytes = new TextEncoder().encode(JSON.parse(new TextDecoder().decode(bytes)));
  const head = bytes && scanState(bytes);
  return bytes && head && { bytes, head };
}
