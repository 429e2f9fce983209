import forge from "node-forge";

/** A certificate with its key, both PEM. */
export interface TestCertificate {
  cert: string;
  key: string;
}

/** A certificate authority for one test file. */
export interface TestCa extends TestCertificate {
  /** A certificate for host names and addresses; `days` may be negative for one that has expired. */
  issue(names: readonly string[], options?: { days?: number; client?: boolean }): TestCertificate;
}

/** Makes an authority that nobody trusts yet. 2048-bit keys: OpenSSL refuses smaller ones. */
export function makeCa(name: string): TestCa {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const subject = [{ name: "commonName", value: name }];
  const cert = build(keys.publicKey, subject, subject, 365);
  cert.setExtensions([
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    { name: "subjectKeyIdentifier" },
  ]);
  cert.sign(keys.privateKey, forge.md.sha256.create());
  const issue: TestCa["issue"] = (names, { days = 30, client = false } = {}) => {
    const own = forge.pki.rsa.generateKeyPair(2048);
    const leaf = build(own.publicKey, [{ name: "commonName", value: names[0] ?? name }], subject, days);
    leaf.setExtensions([
      { name: "extKeyUsage", serverAuth: !client, clientAuth: client },
      { name: "subjectAltName", altNames: names.map(altName) },
    ]);
    leaf.sign(keys.privateKey, forge.md.sha256.create());
    return { cert: forge.pki.certificateToPem(leaf), key: forge.pki.privateKeyToPem(own.privateKey) };
  };
  return { cert: forge.pki.certificateToPem(cert), key: forge.pki.privateKeyToPem(keys.privateKey), issue };
}

function build(
  publicKey: forge.pki.PublicKey,
  subject: forge.pki.CertificateField[],
  issuer: forge.pki.CertificateField[],
  days: number,
): forge.pki.Certificate {
  const cert = forge.pki.createCertificate();
  cert.publicKey = publicKey;
  cert.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`;
  const day = 86_400_000;
  cert.validity.notBefore = new Date(Date.now() - 400 * day);
  cert.validity.notAfter = new Date(Date.now() + days * day);
  cert.setSubject(subject);
  cert.setIssuer(issuer);
  return cert;
}

function altName(name: string): { type: number; value?: string; ip?: string } {
  return /^[\d.]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name };
}
