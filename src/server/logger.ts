/** Where the server reports to. The command line gives a pino logger; tests give their own or none. */

/** Ids, counts, codes. Never a token, a secret or content. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The part of a pino logger that the server uses. */
export interface Logger {
  debug(fields: LogFields, text: string): void;
  info(fields: LogFields, text: string): void;
  warn(fields: LogFields, text: string): void;
  error(fields: LogFields, text: string): void;
}

const ignore = (): void => {};

/** Reports nothing. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
