import { get } from "node:https";
import forge from "node-forge";
import { expect, test } from "vitest";
import { startPlane } from "../../src/plane/plane.ts";

test("TLS: served with its certificate; with a client CA, a client without one of its certificates is refused", async () => {
  const authority = selfSigned();
  const tls = { cert: authority.cert, key: authority.key };
  await using open = await startPlane({ tls });
  expect(open.url).toMatch(/^https:/);
  expect(await buildInfoStatus(open.url, { ca: authority.cert })).toBe(200);

  await using closed = await startPlane({ tls: { ...tls, ca: authority.cert } });
  await expect(buildInfoStatus(closed.url, { ca: authority.cert })).rejects.toThrow();
  expect(await buildInfoStatus(closed.url, { ca: authority.cert, ...tls })).toBe(200);
});

function selfSigned(): { cert: string; key: string } {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const cert = forge.pki.createCertificate();
  cert.publicKey = keys.publicKey;
  cert.serialNumber = "01";
  cert.validity.notAfter = new Date(Date.now() + 3_600_000);
  const name = [{ name: "commonName", value: "127.0.0.1" }];
  cert.setSubject(name);
  cert.setIssuer(name);
  cert.setExtensions([
    { name: "basicConstraints", cA: true },
    { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
  ]);
  cert.sign(keys.privateKey, forge.md.sha256.create());
  return { cert: forge.pki.certificateToPem(cert), key: forge.pki.privateKeyToPem(keys.privateKey) };
}

const buildInfoStatus = (url: string, options: { ca: string; cert?: string; key?: string }): Promise<number> =>
  new Promise((resolve, reject) => {
    get(`${url}/api/v2/buildinfo`, { ...options, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", reject);
    }).on("error", reject);
  });
