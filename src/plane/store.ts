import { RefusedError } from "../kit/errors.ts";
import type {
  Build,
  Daemon,
  Job,
  JobLog,
  Organization,
  ProvisionerKey,
  SessionToken,
  StoredFile,
  Template,
  TemplateVersion,
  User,
  Workspace,
} from "./rows.ts";

/** Rows by id. Rows change only through `update`, so that an implementation on disk sees each change. */
export interface Table<Row extends { readonly id: string }> {
  readonly size: number;
  get(id: string): Row | undefined;
  /** In order of insertion. */
  all(): Iterable<Row>;
  find(test: (row: Row) => boolean): Row | undefined;
  filter(test: (row: Row) => boolean): Row[];
  /** Throws RefusedError when the table is full. */
  insert(row: Row): Row;
  /** Throws RefusedError for an id that is not there. */
  update(id: string, patch: Partial<Omit<Row, "id">>): Row;
  delete(id: string): void;
}

/** Everything that the plane knows. In memory now; a folder on disk can take its place. */
export interface Store {
  readonly organizations: Table<Organization>;
  readonly keys: Table<ProvisionerKey>;
  readonly users: Table<User>;
  readonly tokens: Table<SessionToken>;
  readonly daemons: Table<Daemon>;
  readonly templates: Table<Template>;
  readonly versions: Table<TemplateVersion>;
  readonly workspaces: Table<Workspace>;
  readonly builds: Table<Build>;
  readonly jobs: Table<Job>;
  readonly files: Table<StoredFile>;
  /** Lines of a job in the order of storing. Bounded by the byte limit of spec/02 §3.3. */
  logs(jobId: string): readonly JobLog[];
  appendLogs(jobId: string, lines: readonly JobLog[]): void;
}

/** A laptop's or a test's plane holds far fewer; a loop that makes rows without end stops here, not at the heap's end. */
const maxRows = 100_000;

class MemoryTable<Row extends { readonly id: string }> implements Table<Row> {
  readonly #rows = new Map<string, Row>();

  constructor(readonly name: string) {}

  get size(): number {
    return this.#rows.size;
  }

  get(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  all(): Iterable<Row> {
    return this.#rows.values();
  }

  find(test: (row: Row) => boolean): Row | undefined {
    for (const row of this.#rows.values()) if (test(row)) return row;
    return undefined;
  }

  filter(test: (row: Row) => boolean): Row[] {
    return [...this.#rows.values()].filter(test);
  }

  insert(row: Row): Row {
    if (this.#rows.size >= maxRows) {
      throw new RefusedError(`store a row of ${this.name}: the table holds ${maxRows} rows, which is its limit`);
    }
    this.#rows.set(row.id, row);
    return row;
  }

  update(id: string, patch: Partial<Omit<Row, "id">>): Row {
    const row = this.#rows.get(id);
    if (!row) throw new RefusedError(`change a row of ${this.name} "${id}": no rows in result set`);
    const changed = { ...row, ...patch };
    this.#rows.set(id, changed);
    return changed;
  }

  delete(id: string): void {
    this.#rows.delete(id);
  }
}

/** A store that ends with the process. */
export function memoryStore(): Store {
  const logs = new Map<string, JobLog[]>();
  return {
    organizations: new MemoryTable("organizations"),
    keys: new MemoryTable("provisioner keys"),
    users: new MemoryTable("users"),
    tokens: new MemoryTable("session tokens"),
    daemons: new MemoryTable("daemons"),
    templates: new MemoryTable("templates"),
    versions: new MemoryTable("template versions"),
    workspaces: new MemoryTable("workspaces"),
    builds: new MemoryTable("builds"),
    jobs: new MemoryTable("jobs"),
    files: new MemoryTable("files"),
    logs: (jobId) => logs.get(jobId) ?? [],
    appendLogs: (jobId, lines) => {
      const stored = logs.get(jobId) ?? [];
      logs.set(jobId, stored);
      for (const line of lines) stored.push(line);
    },
  };
}
