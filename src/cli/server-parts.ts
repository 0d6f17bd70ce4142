/**
 * What `serve` needs and no other command should have to load: the server and its logger.
 *
 * Log lines are JSON on standard error. Whatever looks like a secret is replaced, should one ever get that far.
 */
import { homedir } from 'node:os';
import { pino } from 'pino';
import { createServer, defaultDataFolder } from '../server/index.ts';
import type { ServeParts } from './serve-command.ts';

const SECRET_FIELDS = ['token', 'writeToken', 'readToken', 'secret', 'link', 'authorization'];

export async function serverParts(level: string): Promise<ServeParts> {
  const redact = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]);
  return {
    createServer,
    defaultDataFolder: (env) => defaultDataFolder(env, homedir()),
    logger: pino({ level, redact, base: null }, pino.destination({ fd: 2, sync: true })),
  };
}
