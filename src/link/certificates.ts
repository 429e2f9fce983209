import { X509Certificate } from "node:crypto";
import { open, readdir } from "node:fs/promises";
import { messageOf } from "../kit/errors.ts";

/** More than any system's whole store (about 150 roots, 300 kB): a bigger file is no list of roots. */
const maxFileBytes = 4 * 1024 * 1024;
/** Bound of one folder and of the merged list: a folder that holds everything under the sun must not fill the memory. */
const maxFiles = 4096;
export const maxCertificates = 4096;

const block =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+?)-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** The certificates of a PEM text, each as a PEM block in one form, so that equal ones are equal texts. Unreadable blocks are skipped. */
export function splitPem(text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(block)) {
    const base64 = (match[1] ?? "").replaceAll(/\s/g, "");
    const pem = `-----BEGIN CERTIFICATE-----\n${base64.replaceAll(/.{1,64}/g, "$&\n")}-----END CERTIFICATE-----\n`;
    if (isCertificate(pem)) found.push(pem);
  }
  return found;
}

/** The certificates of a file; throws what the file system says, or an Error for a file that is too big. */
export async function readPemFile(path: string): Promise<string[]> {
  return splitPem(await readBounded(path));
}

/** The certificates of every file of a folder, of any name, as Go reads it; what can't be read is skipped, a missing folder is empty. */
export async function readPemFolder(path: string): Promise<string[]> {
  let names: string[];
  try {
    names = (await readdir(path)).sort().slice(0, maxFiles);
  } catch {
    return [];
  }
  const found = new Set<string>();
  for (const name of names) {
    for (const pem of await readPemFile(`${path}/${name}`).catch(() => [])) found.add(pem);
  }
  return [...found];
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
    return new X509Certificate(pem).subject !== undefined || true;
  } catch {
    return false;
  }
}
