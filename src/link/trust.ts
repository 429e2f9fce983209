import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { exitCode, messageOf, OperatorError } from "../kit/errors.ts";
import { writeFileAtomic } from "../kit/files.ts";
import { CertificateList, readBounded } from "./certificates.ts";
import type { Environment } from "./proxy.ts";

/** Paths of PEM files; an empty text counts as absent. */
export interface TrustSettings {
  /** Replaces every other root (spec/01 §1.10). */
  caFile?: string | undefined;
  /** Added to whatever else is trusted. */
  extraCaFile?: string | undefined;
  /** Client certificate and key, only together. */
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

/** Whom we trust and how we show ourselves, for REST, WebSocket and proxies alike. */
export interface Trust {
  /** At least TLS 1.2. */
  readonly context: SecureContext;
  /** All roots as one PEM text, each once: for programs that take one file (engine, git). */
  readonly bundle: string;
  readonly certificates: number;
}

/** Where Go looks on Linux and macOS: the first of the files, and all of the folders. */
const systemFiles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];
const systemFolders = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/** Reads roots and client certificate; throws OperatorError OUT-TLS-FILES for a configured file that can't be used. */
export async function readTrust(settings: TrustSettings, env: Environment): Promise<Trust> {
  const roots = new CertificateList();
  if (settings.caFile) await addConfigured(roots, "CA file", settings.caFile);
  else await addSystemRoots(roots, env);
  if (settings.extraCaFile) await addConfigured(roots, "extra CA file", settings.extraCaFile);
  const ca = roots.blocks;
  const identity = await clientCertificate(settings);
  try {
    const context = createSecureContext({ ca, minVersion: "TLSv1.2", ...identity });
    return { context, bundle: ca.join(""), certificates: ca.length };
  } catch (error) {
    const reason = messageOf(error);
    throw fileError(
      `client certificate "${settings.certFile}" with key "${settings.keyFile}": don't work together`,
      reason,
      error,
    );
  }
}

/** Writes the bundle where other programs can read it: it holds nothing secret. */
export async function writeBundle(trust: Trust, path: string): Promise<void> {
  await writeFileAtomic(path, trust.bundle, 0o644);
}

/** Node's own roots and what Go would find on this system: Node 20 reads neither SSL_CERT_FILE nor SSL_CERT_DIR itself. */
async function addSystemRoots(roots: CertificateList, env: Environment): Promise<void> {
  const file = env["SSL_CERT_FILE"];
  const folders = env["SSL_CERT_DIR"]?.split(":").filter(Boolean) ?? systemFolders;
  for (const pem of rootCertificates) roots.add(pem, true);
  for (const path of file ? [file] : systemFiles) {
    if ((await roots.addFile(path).catch(() => 0)) > 0) break;
  }
  for (const path of folders) await roots.addFolder(path);
  if (env["NODE_EXTRA_CA_CERTS"]) await roots.addFile(env["NODE_EXTRA_CA_CERTS"]).catch(() => 0);
}

async function addConfigured(roots: CertificateList, what: string, path: string): Promise<void> {
  const count = await roots.addFile(path).catch((error: unknown) => {
    throw fileError(`${what} "${path}": can't be read`, messageOf(error), error);
  });
  if (count === 0) throw fileError(`${what} "${path}": holds no PEM certificate`, "nothing in it could be read as one");
}

async function clientCertificate({ certFile, keyFile }: TrustSettings): Promise<{ cert?: string; key?: string }> {
  if (!certFile && !keyFile) return {};
  if (!certFile || !keyFile) {
    const [there, missing] = certFile ? ["certificate", "key"] : ["key", "certificate"];
    throw fileError(
      `client ${there} without a client ${missing}: should be both or neither`,
      `the ${missing} file isn't set`,
    );
  }
  try {
    return { cert: await readBounded(certFile), key: await readBounded(keyFile) };
  } catch (error) {
    throw fileError("client certificate and key: can't be read", messageOf(error), error);
  }
}

function fileError(message: string, reason: string, cause?: unknown): OperatorError {
  const cure = "check --client-tls-ca-file, --client-tls-cert-file and --client-tls-key-file";
  return new OperatorError(message, { code: "OUT-TLS-FILES", reason, cure, exit: exitCode.usage, cause });
}
