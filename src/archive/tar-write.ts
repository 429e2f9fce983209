/** What goes into a tar. Times are always 0, so that equal trees give equal bytes. */
export interface TarItem {
  /** Relative, with `/`; a folder's ends with `/`. */
  name: string;
  mode: number;
  /** A file's content; a folder and a link have none. */
  data?: Uint8Array;
  /** Makes the entry a symbolic link. */
  linkTarget?: string;
}

const block = 512;
/** Whose files these are, whoever packs them. */
const owner = 1000;
/** The two zero blocks at the end. */
export const tarEnd = Buffer.alloc(2 * block);

/** One entry: extended header where it takes one, header, content and padding, with the bytes of spec/03 §1.10. */
export function tarEntry(item: TarItem): Uint8Array {
  const { mode, data = new Uint8Array(), linkTarget = "" } = item;
  const type = linkTarget ? "2" : item.name.endsWith("/") ? "5" : "0";
  const records: [string, string][] = [];
  const place = placeOf(item.name);
  if (!place) records.push(["path", item.name]);
  if (!fits(linkTarget, 100)) records.push(["linkpath", linkTarget]);
  const { prefix, name } = place ?? { prefix: "", name: cut(item.name) };
  const parts = [
    header({ name, prefix, mode, owner, size: data.length, type, linkTarget: cut(linkTarget) }),
    data,
    padding(data.length),
  ];
  if (records.length > 0) {
    const body = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
    const slash = item.name.replace(/\/$/, "").lastIndexOf("/") + 1;
    const paxName = cut(`${item.name.slice(0, slash)}PaxHeaders.0/${item.name.slice(slash)}`.replace(/\/$/, ""));
    const fields = { name: paxName, prefix: "", mode: 0, owner: 0, size: body.length, type: "x", linkTarget: "" };
    parts.unshift(header(fields), body, padding(body.length));
  }
  return Buffer.concat(parts);
}

const isAscii = (value: string) => /^[\x01-\x7f]*$/.test(value);
const fits = (value: string, bytes: number) => isAscii(value) && value.length <= bytes;
const padding = (size: number) => Buffer.alloc((block - (size % block)) % block);
const cut = (value: string) => value.replace(/[^\x01-\x7f]/g, "").slice(0, 100);

/** A name over 100 bytes is split at the last `/` of its first 156 bytes; undefined where only PAX can say it. */
function placeOf(path: string): { prefix: string; name: string } | undefined {
  if (!isAscii(path)) return undefined;
  if (path.length <= 100) return { prefix: "", name: path };
  // A folder's own closing slash is no place to split: the name would be empty.
  const end = path.endsWith("/") ? path.length - 1 : path.length;
  const at = path.slice(0, Math.min(156, end)).lastIndexOf("/");
  const name = path.slice(at + 1);
  return at > 0 && name.length <= 100 ? { prefix: path.slice(0, at), name } : undefined;
}

interface HeaderFields {
  name: string;
  prefix: string;
  mode: number;
  /** User and group. */
  owner: number;
  size: number;
  type: string;
  linkTarget: string;
}

function header({ name, prefix, mode, owner, size, type, linkTarget }: HeaderFields): Buffer {
  const bytes = Buffer.alloc(block);
  const put = (at: number, value: string) => bytes.write(value, at, "latin1");
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(0, name);
  put(100, octal(mode, 7));
  put(108, octal(owner, 7));
  put(116, octal(owner, 7));
  put(124, octal(size, 11));
  put(136, octal(0, 11));
  put(148, "        ");
  put(156, type);
  put(157, linkTarget);
  put(257, "ustar\x0000");
  // Go leaves both device numbers of an extended header blank.
  if (type !== "x") put(329, `${octal(0, 7)}\0${octal(0, 7)}`);
  put(345, prefix);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  put(148, `${octal(sum, 6)}\0 `);
  return bytes;
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  length += String(length + String(length).length).length;
  return Buffer.from(`${length}${rest}`);
}
