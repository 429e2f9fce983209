import { headers, prebuildsUser } from "../contract/identity.ts";
import { RefusedError } from "../kit/errors.ts";
import { sha256 } from "./chance.ts";
import type { User } from "./rows.ts";
import type { World } from "./world.ts";

/** What a new user may bring; the rest is empty or derived from the name. */
export type NewUser = { readonly name: string } & Partial<Omit<User, "id" | "name">>;

/** Makes a user without a session token. Throws RefusedError where the name is taken. */
export function createUser(world: World, user: NewUser, id: string = world.chance.uuid()): User {
  if (world.store.users.find(({ name }) => name === user.name)) {
    throw new RefusedError(`create user "${user.name}": the name is taken`);
  }
  return world.store.users.insert({
    email: `${user.name}@example.com`,
    fullName: user.name,
    loginType: "password",
    admin: false,
    groups: [],
    roles: [],
    sshPublicKey: "",
    sshPrivateKey: "",
    oidcAccessToken: "",
    externalTokens: {},
    budgets: {},
    ...user,
    id,
  });
}

/** The system user who makes prebuilds: its jobs wait behind people's (spec/01 §1.9). */
export const createPrebuildsUser = (world: World): User => createUser(world, { name: "prebuilds" }, prebuildsUser);

/** A new session token; only its hash is kept. */
export function renewSessionToken(world: World, userId: string, workspaceId?: string): string {
  const token = world.chance.sessionToken();
  world.store.tokens.insert({ id: sha256(token), userId, ...(workspaceId === undefined ? {} : { workspaceId }) });
  return token;
}

/** Takes back the tokens that were made for a workspace (spec/02 §5.4). */
export function revokeSessionTokens(world: World, workspaceId: string): void {
  for (const token of world.store.tokens.filter((row) => row.workspaceId === workspaceId)) {
    world.store.tokens.delete(token.id);
  }
}

/** What the rules look at of an HTTP request. */
export interface RequestFacts {
  readonly query: URLSearchParams;
  /** A header's value by its name in any case, or undefined. */
  readonly header: (name: string) => string | undefined;
}

/** The user token of a request, wherever it stands: the order is the real server's (spec/01 §1.3). */
export const userTokenOf = ({ query, header }: RequestFacts): string | undefined =>
  /(?:^|;\s*)coder_session_token=([^;]+)/.exec(header("cookie") ?? "")?.[1] ||
  query.get("coder_session_token") ||
  header(headers.sessionToken) ||
  /^Bearer (.+)$/i.exec(header("authorization") ?? "")?.[1] ||
  undefined;

/** Whose token this is, or undefined. */
export function userOfToken(world: World, token: string | undefined): User | undefined {
  const row = token ? world.store.tokens.get(sha256(token)) : undefined;
  return row && world.store.users.get(row.userId);
}
