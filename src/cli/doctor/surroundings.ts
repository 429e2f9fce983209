import type { StartSettings } from "../../config/start-settings.ts";
import type { Clock } from "../../kit/clock.ts";

/** What a doctor works with, beside the settings. */
export interface Surroundings {
  environment: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  random: () => number;
  /** Outpost's own. */
  version: string;
  hostName: string;
}

/** The settings of `outpost start`, and how far to go. */
export interface DoctorSettings {
  start: StartSettings;
  /** Before there is a key: nothing that needs one. */
  pre: boolean;
  /** A real connection, which is seen at the control plane. */
  connect: boolean;
}

/** `linux/amd64`: as the agent names its machine. */
export const platformName = (): string => `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`;
