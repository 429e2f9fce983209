import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { makeCa } from "../../support/certs.ts";
import { providerMirror } from "../../support/providers.ts";
import { makePgpKey } from "./openpgp.ts";

export const platform = `${process.platform}_${process.arch === "x64" ? "amd64" : process.arch}`;

/** One package that the registry offers: `name` is `namespace/type`. */
export interface Offer {
  name: string;
  version: string;
  content: Uint8Array;
}

export type RegistryState = "up" | "cut" | number;

/** A provider registry with real signatures, and a network mirror of the same packages under `/mirror/`. */
export interface Registry extends AsyncDisposable {
  /** `localhost:PORT`, as the first part of a provider's source. */
  host: string;
  /** PEM file's content for SSL_CERT_FILE. */
  ca: string;
  /** Paths asked for, in order. */
  asked: string[];
  /** "up", "cut" (each connection breaks), or the status of each answer; `files` the same for zips alone. */
  state: RegistryState;
  files: RegistryState;
  offers: Offer[];
}

/** A small thing that `init` takes for a provider: it never starts one. */
export function dummy(name: string, version: string, content = `#!/bin/sh\n# ${name} ${version}\nexit 1\n`): Offer {
  return { name, version, content: Buffer.from(content) };
}

/** Packages of a size that takes a while to copy, with bytes that don't repeat. */
export function bigOffers(count: number, bytes: number): Offer[] {
  return Array.from({ length: count }, (_, n) => ({
    name: `acme/big${n}`,
    version: "1.0.0",
    content: randomBytes(bytes),
  }));
}

/** The real provider out of the mirror that `scripts/providers.mjs` fills. */
export async function realOffer(name: string, version: string): Promise<Offer> {
  const file = join(providerMirror ?? "", "registry.terraform.io", name, version, platform, binaryName(name, version));
  return { name, version, content: await readFile(file) };
}

/** Starts the registry on a free port. */
export async function startRegistry(offers: Offer[]): Promise<Registry> {
  const ca = makeCa("provider registry of a test");
  const pgp = makePgpKey("publisher@example.test");
  const server = createServer(ca.issue(["localhost", "127.0.0.1"]), (request, response) => {
    const path = new URL(request.url ?? "/", "https://localhost").pathname;
    registry.asked.push(path);
    const state = path.endsWith(".zip") ? registry.files : registry.state;
    if (state === "cut") return void request.socket.destroy();
    if (state !== "up") return void response.writeHead(state).end();
    const answer = respond(path, registry, pgp);
    response.statusCode = answer === undefined ? 404 : 200;
    if (answer instanceof Uint8Array) return void response.end(answer);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answer ?? { errors: ["not found"] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const registry: Registry = {
    host: `localhost:${(server.address() as AddressInfo).port}`,
    ca: ca.cert,
    asked: [],
    state: "up",
    files: "up",
    offers: [...offers],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return registry;
}

function respond(path: string, { host, offers }: Registry, pgp: ReturnType<typeof makePgpKey>): object | undefined {
  if (path === "/.well-known/terraform.json") return { "providers.v1": "/v1/providers/" };
  const versions = (name: string) => offers.filter((offer) => offer.name === name);
  const file = path.match(/^\/files\/([^/]+\/[^/]+)\/([^/]+)\/(.+)$/);
  if (file) {
    const offer = versions(file[1] ?? "").find(({ version }) => version === file[2]);
    if (!offer) return undefined;
    const sums = Buffer.from(`${sha256(zipOf(offer))}  ${zipName(offer)}\n`);
    return file[3] === "SHA256SUMS" ? sums : file[3] === "SHA256SUMS.sig" ? pgp.sign(sums) : zipOf(offer);
  }
  const download = path.match(/^\/v1\/providers\/([^/]+\/[^/]+)\/([^/]+)\/download\//);
  if (download) {
    const offer = versions(download[1] ?? "").find(({ version }) => version === download[2]);
    if (!offer) return undefined;
    const [os, arch] = platform.split("_");
    const base = `https://${host}/files/${offer.name}/${offer.version}`;
    return {
      protocols: ["5.0", "6.0"],
      os,
      arch,
      filename: zipName(offer),
      download_url: `${base}/${zipName(offer)}`,
      shasums_url: `${base}/SHA256SUMS`,
      shasums_signature_url: `${base}/SHA256SUMS.sig`,
      shasum: sha256(zipOf(offer)),
      signing_keys: {
        gpg_public_keys: [{ key_id: pgp.keyId, ascii_armor: pgp.armor, trust_signature: "", source: "test" }],
      },
    };
  }
  const list = path.match(/^\/v1\/providers\/([^/]+\/[^/]+)\/versions$/);
  if (list) {
    const [os, arch] = platform.split("_");
    const found = versions(list[1] ?? "").map(({ version }) => ({
      version,
      protocols: ["5.0"],
      platforms: [{ os, arch }],
    }));
    return found.length > 0 ? { versions: found } : undefined;
  }
  const mirror = path.match(/^\/mirror\/[^/]+\/([^/]+\/[^/]+)\/([^/]+)\.json$/);
  if (mirror) {
    const found = versions(mirror[1] ?? "");
    if (mirror[2] === "index") return { versions: Object.fromEntries(found.map(({ version }) => [version, {}])) };
    const offer = found.find(({ version }) => version === mirror[2]);
    if (!offer) return undefined;
    const url = `https://${host}/files/${offer.name}/${offer.version}/${zipName(offer)}`;
    return { archives: { [platform]: { url, hashes: [`zh:${sha256(zipOf(offer))}`] } } };
  }
  return undefined;
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const typeOf = (name: string) => name.replace(/.*\//, "");
const binaryName = (name: string, version: string) => `terraform-provider-${typeOf(name)}_v${version}`;
/** As publishers name it. */
export const zipName = ({ name, version }: Offer) => `terraform-provider-${typeOf(name)}_${version}_${platform}.zip`;

const zips = new WeakMap<Offer, Buffer>();

/** A zip of a licence and the executable, uncompressed. */
export function zipOf(offer: Offer): Buffer {
  const made =
    zips.get(offer) ??
    zip([
      { name: "LICENSE.txt", mode: 0o644, data: Buffer.from("free\n") },
      { name: binaryName(offer.name, offer.version), mode: 0o755, data: offer.content },
    ]);
  zips.set(offer, made);
  return made;
}

function zip(files: Array<{ name: string; mode: number; data: Uint8Array }>): Buffer {
  const parts: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let offset = 0;
  for (const { name, mode, data } of files) {
    const entry = Buffer.alloc(26);
    entry.writeUInt16LE(20, 0);
    entry.writeUInt16LE(0x21, 8);
    entry.writeUInt32LE(crc32(data), 10);
    entry.writeUInt32LE(data.length, 14);
    entry.writeUInt32LE(data.length, 18);
    entry.writeUInt16LE(name.length, 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(((0o100000 | mode) << 16) >>> 0, 6);
    place.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), entry, Buffer.from(name)]);
    central.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x03", "latin1"), entry, place, Buffer.from(name)]));
    parts.push(local, data);
    offset += local.length + data.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, directory, end]);
}
