/**
 * MetadataStore on node:sqlite. The database is locked for as long as it is open, and the lock ends with the process
 * however that dies, so it also is the lock of the data folder. Not responsible for what documents mean.
 *
 * Calls of node:sqlite block the event loop, most of all for the sync at the end of a transaction: changes made in
 * one turn of the loop share one transaction.
 */
import { closeSync, openSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { SluiceError } from '../../protocol/index.ts';
import type { MetadataStore, StoredDocument } from './metadata-store.ts';

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE document (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE sequence (last_version INTEGER NOT NULL) STRICT;
  INSERT INTO sequence VALUES (0);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;
const LIST_PAGE = 256;
/** https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

interface DocumentRow {
  readonly key: string;
  readonly version: number;
  readonly value: string;
}

/** A change that waits for the end of the turn. `apply` runs inside the transaction, `settle` once it is durable. */
interface PendingChange {
  apply(): void;
  settle(): void;
  reject(error: SluiceError): void;
}

export class SqliteMetadataStore<T> implements MetadataStore<T> {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  #lastVersion: number;
  #pending: PendingChange[] = [];
  #flushing: Promise<void> | null = null;
  #isClosed = false;

  /**
   * Opens the database, created with mode 0600 if there is none, and locks it.
   * @throws SluiceError `dataFolder`: another process has it, it cannot be read or written, it is not ours.
   */
  static open<T>(path: string): SqliteMetadataStore<T> {
    let database: DatabaseSync | null = null;
    try {
      closeSync(openSync(path, 'a', 0o600));
      database = new (loadSqlite().DatabaseSync)(path);
      // Before the first access: without shared memory nobody else can even read.
      database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      database.exec('BEGIN IMMEDIATE; COMMIT');
      prepareSchema(database, path);
      return new SqliteMetadataStore<T>(database);
    } catch (error) {
      if (database?.isOpen) database.close();
      throw openFailure(error, path);
    }
  }

  private constructor(database: DatabaseSync) {
    this.#database = database;
    this.#statements = prepareStatements(database);
    this.#lastVersion = Number(database.prepare('SELECT last_version FROM sequence').get()?.last_version);
  }

  async get(key: string): Promise<StoredDocument<T> | null> {
    return this.#read(key);
  }

  put(key: string, value: T, expectedVersion: number | null): Promise<number | null> {
    const json = JSON.stringify(value);
    return this.#change(() => {
      if ((this.#read(key)?.version ?? null) !== expectedVersion) return null;
      this.#lastVersion += 1;
      this.#statements.put.run(key, this.#lastVersion, json);
      this.#statements.count.run(this.#lastVersion);
      return this.#lastVersion;
    });
  }

  remove(key: string, expectedVersion: number): Promise<boolean> {
    return this.#change(() => this.#statements.remove.run(key, expectedVersion).changes === 1);
  }

  async *list(): AsyncIterable<StoredDocument<T>> {
    let after = '';
    while (true) {
      this.#assertOpen();
      const rows = this.#statements.list.all(after, LIST_PAGE) as unknown as DocumentRow[];
      for (const row of rows) yield documentOf<T>(row);
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.key;
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#flushing;
    this.#database.close();
  }

  #read(key: string): StoredDocument<T> | null {
    this.#assertOpen();
    const row = this.#statements.get.get(key) as unknown as DocumentRow | undefined;
    return row === undefined ? null : documentOf<T>(row);
  }

  #change<R>(run: () => R): Promise<R> {
    if (this.#isClosed) return Promise.reject(closed());
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    let result: R;
    this.#pending.push({
      apply: () => {
        result = run();
      },
      settle: () => resolve(result),
      reject,
    });
    this.#flushing ??= new Promise((flushed) => {
      setImmediate(() => {
        this.#flushing = null;
        this.#flush();
        flushed();
      });
    });
    return promise;
  }

  #flush(): void {
    const changes = this.#pending.splice(0);
    const lastVersion = this.#lastVersion;
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      for (const change of changes) change.apply();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      this.#lastVersion = lastVersion;
      const failure = changeFailure(error);
      for (const change of changes) change.reject(failure);
      return;
    }
    for (const change of changes) change.settle();
  }

  #assertOpen(): void {
    if (!this.#database.isOpen) throw closed();
  }
}

interface Statements {
  readonly get: StatementSync;
  readonly put: StatementSync;
  readonly count: StatementSync;
  readonly remove: StatementSync;
  readonly list: StatementSync;
}

function prepareStatements(database: DatabaseSync): Statements {
  return {
    get: database.prepare('SELECT key, version, value FROM document WHERE key = ?'),
    put: database.prepare('INSERT OR REPLACE INTO document (key, version, value) VALUES (?, ?, ?)'),
    count: database.prepare('UPDATE sequence SET last_version = ?'),
    remove: database.prepare('DELETE FROM document WHERE key = ? AND version = ?'),
    list: database.prepare('SELECT key, version, value FROM document WHERE key > ? ORDER BY key LIMIT ?'),
  };
}

function prepareSchema(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version);
  if (version === SCHEMA_VERSION) return;
  if (version !== 0) {
    throw new SluiceError('dataFolder', `${path} has schema ${version}, which this version does not know.`, {
      hint: 'Use the version of Sluice that wrote it, or another folder with --data.',
    });
  }
  database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`);
}

function documentOf<T>({ key, version, value }: DocumentRow): StoredDocument<T> {
  return { key, value: JSON.parse(value) as T, version };
}

function openFailure(error: unknown, path: string): SluiceError {
  if (error instanceof SluiceError) return error;
  if (resultCodeOf(error) === SQLITE_BUSY) {
    return new SluiceError('dataFolder', `Another Sluice server is using it (${path} is locked).`, {
      cause: error,
      hint: 'Stop the other server, or choose another folder with --data.',
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new SluiceError('dataFolder', `${path} cannot be opened: ${reason}.`, { cause: error });
}

function changeFailure(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const code = resultCodeOf(error) === SQLITE_FULL ? 'storageFull' : 'internal';
  return new SluiceError(code, error instanceof Error ? error.message : String(error), { cause: error });
}

/** The low byte of an SQLite result: without what extended results add. */
function resultCodeOf(error: unknown): number | null {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) % 256 : null;
}

function closed(): SluiceError {
  return new SluiceError('internal', 'The metadata store is closed.');
}

/** Loads node:sqlite without the one warning that it is experimental, which Node 22 prints; others pass. */
function loadSqlite(): typeof import('node:sqlite') {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]): void => {
    if (String(warning).includes('SQLite is an experimental feature')) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  }) as typeof process.emitWarning;
  try {
    return process.getBuiltinModule('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}
