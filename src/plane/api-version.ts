import { type ApiVersion, versionText } from "../contract/versions.ts";

/**
 * Why a server at `server` refuses an agent that asks for `requested`, or undefined when it accepts (spec/01 §5.1).
 * The texts are the protocol: clients read the server's version out of them (§5.2).
 */
export function versionRefusal(server: ApiVersion, requested: string): string | undefined {
  const parts = requested.split(".");
  if (parts.length !== 2) return `invalid version string: ${requested}`;
  const [majorText = "", minorText = ""] = parts;
  if (!isInteger(majorText)) return `invalid major version: ${requested}`;
  if (!isInteger(minorText)) return `invalid minor version: ${requested}`;
  const major = Number(majorText);
  const minor = Number(minorText);
  if (major > server.major) {
    return `server is at version ${versionText(server)}, behind requested major version ${requested}`;
  }
  if (major < server.major) return `version ${requested} is no longer supported`;
  if (minor > server.minor) {
    return `server is at version ${versionText(server)}, behind requested minor version ${requested}`;
  }
  return undefined;
}

const isInteger = (text: string) => /^[+-]?\d{1,18}$/.test(text);
