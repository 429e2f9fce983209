import { limits } from "../contract/limits.ts";
import { sha256 } from "./chance.ts";
import { HttpRefusal } from "./refusal.ts";
import type { ProvisionerKey, Tags } from "./rows.ts";
import type { World } from "./world.ts";

const reserved: ReadonlySet<string> = new Set(["built-in", "user-auth", "psk"]);

/** Makes a key and tells its secret, once. Throws HttpRefusal with the statuses of spec/01 §1.7. */
export function createKey(
  world: World,
  organizationId: string,
  key: { readonly name: string; readonly tags?: Tags },
): ProvisionerKey & { readonly secret: string } {
  const { keys } = world.store;
  const { name } = key;
  if (name === "" || name.length > 64)
    throw new HttpRefusal(400, `create key "${name}": the name must have 1 to 64 characters`);
  if (reserved.has(name.toLowerCase())) throw new HttpRefusal(400, `create key "${name}": the name is reserved`);
  if (findKey(world, organizationId, name)) throw new HttpRefusal(409, `create key "${name}": the name is taken`);
  const secret = world.chance.word(limits.keyChars);
  const row = keys.insert({
    id: world.chance.uuid(),
    organizationId,
    name,
    tags: key.tags ?? {},
    hash: sha256(secret),
    createdAt: world.clock.now(),
  });
  return { ...row, secret };
}

/** The organization's keys, oldest first. */
export const listKeys = (world: World, organizationId: string): ProvisionerKey[] =>
  world.store.keys.filter((row) => row.organizationId === organizationId);

/** Deletes a key and the daemons that registered with it last; live connections go on (spec/02 §5.1). */
export function deleteKey(world: World, organizationId: string, name: string): void {
  if (reserved.has(name.toLowerCase())) throw new HttpRefusal(400, `delete key "${name}": the name is reserved`);
  const key = findKey(world, organizationId, name);
  if (!key) throw new HttpRefusal(404, `delete key "${name}": there is none of that name`);
  world.store.keys.delete(key.id);
  for (const { id } of world.store.daemons.filter((row) => row.keyId === key.id)) world.store.daemons.delete(id);
}

/** The key with this secret, or undefined. Its form is its length, nothing else (spec/01 §1.7). */
export const keyOfSecret = (world: World, secret: string): ProvisionerKey | undefined => {
  if (secret.length !== limits.keyChars) return undefined;
  const hash = sha256(secret);
  return world.store.keys.find((row) => row.hash === hash);
};

const findKey = (world: World, organizationId: string, name: string) =>
  world.store.keys.find((row) => row.organizationId === organizationId && row.name === name);
