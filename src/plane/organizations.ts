import { nilUuid } from "../contract/identity.ts";
import { defaultOrganization } from "../contract/methods.ts";
import { isUuid } from "./chance.ts";
import { HttpRefusal } from "./refusal.ts";
import type { Organization } from "./rows.ts";
import type { World } from "./world.ts";

/** Makes an organization; the first one is the default. Throws HttpRefusal 400 for a bad name, 409 for one that is taken. */
export function createOrganization(world: World, name: string): Organization {
  const { organizations } = world.store;
  if (!/^[a-z0-9](?:-?[a-z0-9]){0,31}$/i.test(name)) {
    throw new HttpRefusal(
      400,
      `create organization "${name}": the name must be 1 to 32 letters and digits with single hyphens`,
    );
  }
  if (organizations.find((row) => row.name === name)) {
    throw new HttpRefusal(409, `create organization "${name}": the name is taken`);
  }
  return organizations.insert({
    id: world.chance.uuid(),
    name,
    isDefault: organizations.size === 0,
    createdAt: world.clock.now(),
  });
}

/** Resolves the segment of a URL (spec/01 §1.1); undefined where nothing has that name or id. */
export function findOrganization(world: World, segment: string): Organization | undefined {
  const { organizations } = world.store;
  if (segment === defaultOrganization || segment === nilUuid) return organizations.find((row) => row.isDefault);
  if (isUuid(segment)) return organizations.get(segment.toLowerCase());
  return organizations.find((row) => row.name === segment);
}
