/** Daemon names: 2 to 63 ASCII letters, digits and inner hyphens (spec/01 §1.8). */
export const daemonNamePattern = /^(?=.{2,63}$)[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*$/;

/** Header names of the handshake (spec/01 §1.3). */
export const headers = {
  key: "Coder-Provisioner-Daemon-Key",
  psk: "Coder-Provisioner-Daemon-PSK",
  sessionToken: "Coder-Session-Token",
  buildVersion: "X-Coder-Build-Version",
} as const;

/** Initiator of prebuild jobs, which wait behind people's (spec/01 §1.9). */
export const prebuildsUser = "c42fdf75-3097-471c-8c33-fb52454d81c0";

/** What stands where there is no id: no task, no user (spec/02 §5.4). */
export const nilUuid = "00000000-0000-0000-0000-000000000000";
