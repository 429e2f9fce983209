import { X509Certificate } from "node:crypto";
import { type DetailedPeerCertificate, rootCertificates } from "node:tls";
import { CertificateList } from "../../link/certificates.ts";
import { type Finding, ok, warn } from "./finding.ts";

/** Less than this is a warning: renewals that work come earlier. */
const soonDays = 14;
const dayMs = 86_400_000;

/** How long a certificate lasts, who issued it, and by which file we trust that. `files`: where its root may stand. */
export async function certificateFinding(
  leaf: DetailedPeerCertificate,
  files: readonly string[],
  nowMs: number,
): Promise<Finding> {
  const root = rootOf(leaf);
  const days = Math.floor((Date.parse(leaf.valid_to) - nowMs) / dayMs);
  const issuer = [leaf.issuer.CN ?? leaf.issuer.O ?? "an issuer without a name"].flat().join(", ");
  const text = `${days} days left, ${issuer} (${await sourceOf(root, files)})`;
  if (days >= soonDays) return ok(text);
  return warn(text, "OUT-TLS-EXPIRES", "have the server's certificate renewed before it ends");
}

function rootOf(leaf: DetailedPeerCertificate): DetailedPeerCertificate {
  let certificate = leaf;
  // OpenSSL verifies no longer chain; the last one names itself as its issuer.
  for (let depth = 0; depth < 100; depth++) {
    const issuer = certificate.issuerCertificate;
    if (!issuer || issuer.fingerprint256 === certificate.fingerprint256) break;
    certificate = issuer;
  }
  return certificate;
}

async function sourceOf(root: DetailedPeerCertificate, files: readonly string[]): Promise<string> {
  // The list brings every certificate into one form, so that equal ones are equal texts.
  const wanted = new CertificateList();
  wanted.add(new X509Certificate(root.raw).toString());
  const [block = ""] = wanted.blocks;
  for (const file of files) {
    const list = new CertificateList();
    await list.addFile(file).catch(() => 0);
    if (list.blocks.includes(block)) return file;
  }
  const own = new CertificateList();
  for (const certificate of rootCertificates) own.add(certificate, true);
  return own.blocks.includes(block) ? "one of Node's own roots" : "one of the system's roots";
}
