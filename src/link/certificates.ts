import { X509Certificate } from "node:crypto";
import { open, readdir } from "node:fs/promises";
import { messageOf } from "../kit/errors.ts";

/** More than any system's whole store (about 150 roots, 300 kB): a bigger file is no list of roots. */
const maxFileBytes = 4 * 1024 * 1024;
/** Bounds of one folder and of the list: a folder that holds everything under the sun must not fill the memory. */
const maxFiles = 4096;
const maxCertificates = 4096;

const block = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([^-]+)-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** Certificates, each once, whatever files they came from. What can't be read as a certificate is left out. */
export class CertificateList {
  /** PEM blocks of one form, so that equal certificates are equal texts. Reading one takes longer than all else: once is enough. */
  readonly #seen = new Map<string, boolean>();

  /** PEM blocks in the order in which they came. */
  get blocks(): string[] {
    return [...this.#seen].flatMap(([pem, readable]) => (readable ? [pem] : []));
  }

  /** Takes the certificates of a PEM text; tells how many there are in it. `known` ones needn't be looked at. */
  add(text: string, known = false): number {
    let count = 0;
    for (const match of text.matchAll(block)) {
      const base64 = (match[1] ?? "").replaceAll(/\s/g, "").replaceAll(/.{1,64}/g, "$&\n");
      const pem = `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`;
      if (!this.#seen.has(pem) && this.#seen.size < maxCertificates) this.#seen.set(pem, known || isCertificate(pem));
      if (this.#seen.get(pem)) count++;
    }
    return count;
  }

  /** As `add`; throws what the file system says, or an Error for a file that is too big. */
  async addFile(path: string): Promise<number> {
    return this.add(await readBounded(path));
  }

  /** Takes every file of a folder, of any name, as Go does; what can't be read is skipped, a missing folder is empty. */
  async addFolder(path: string): Promise<void> {
    const names = await readdir(path).catch(() => []);
    for (const name of names.sort().slice(0, maxFiles)) await this.addFile(`${path}/${name}`).catch(() => 0);
  }
}

/** A small text file; throws for anything that is no regular file or too big. */
export async function readBounded(path: string): Promise<string> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat().then((stat) => {
      if (!stat.isFile()) throw new Error("not a regular file");
      return stat;
    });
    if (size > maxFileBytes) throw new Error(`${size} bytes: at most ${maxFileBytes} are read`);
    return await file.readFile("latin1");
  } catch (error) {
    throw new Error(`read "${path}": ${messageOf(error)}`, { cause: error });
  } finally {
    await file.close();
  }
}

function isCertificate(pem: string): boolean {
  try {
    void new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}
