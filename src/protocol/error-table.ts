/**
 * The one table of everything that can go wrong: code, wire number, scope, whether trying again can help, what
 * happened, what to do next, and the exit code of the command line. Close codes, `docs/errors.md`, `--help` and the
 * `SluiceErrorCode` type are derived from it. It does not decide what happens on an error: callers do.
 */

/**
 * - `connection`: the connection ends with close code 4000 + number.
 * - `transfer`: one stream is reset; everything else on the connection goes on.
 * - `local`: never sent to a peer.
 */
export type ErrorScope = 'connection' | 'transfer' | 'local';

export interface ErrorRow {
  /** Number on the wire, 1..999. The WebSocket close code is 4000 + number. Never reused. */
  readonly number: number;
  readonly scope: ErrorScope;
  /** True when the same attempt can succeed later without a person doing anything. */
  readonly retryable: boolean;
  /** What happened, one sentence. */
  readonly sentence: string;
  /** What to do next, one sentence. */
  readonly hint: string;
  /** Exit code of the command line. */
  readonly exitCode: number;
}

const row = (
  number: number,
  scope: ErrorScope,
  retryable: boolean,
  exitCode: number,
  sentence: string,
  hint: string,
): ErrorRow => ({ number, scope, retryable, exitCode, sentence, hint });

export type SluiceErrorCode =
  | 'protocol'
  | 'versionMismatch'
  | 'notAllowed'
  | 'notFound'
  | 'expired'
  | 'flowControl'
  | 'tooLarge'
  | 'limit'
  | 'conflict'
  | 'fenced'
  | 'digestMismatch'
  | 'sourceChanged'
  | 'storageFull'
  | 'quota'
  | 'overloaded'
  | 'unsupported'
  | 'goingAway'
  | 'decryptFailed'
  | 'corrupted'
  | 'peerTimeout'
  | 'rateLimited'
  | 'cancelled'
  | 'internal'
  | 'dataLost'
  | 'chainMismatch'
  | 'sealed'
  | 'usage'
  | 'refused'
  | 'badLink'
  | 'unreachable'
  | 'notSluice'
  | 'localDisk'
  | 'integrity'
  | 'incomplete'
  | 'interrupted'
  | 'waitTimeout'
  | 'dataFolder'
  | 'addressInUse'
  | 'unsafeName'
  | 'brokenPipe';

/** All errors, keyed by code. */
export const ERROR_TABLE: Readonly<Record<SluiceErrorCode, ErrorRow>> = {
  protocol: row(
    1,
    'connection',
    false,
    1,
    'The other side broke the protocol.',
    'Update Sluice on both sides; if both are current, report it.',
  ),
  versionMismatch: row(
    2,
    'connection',
    false,
    1,
    'The two sides speak no common protocol version.',
    'Update the older side; the message lists what is spoken.',
  ),
  notAllowed: row(
    3,
    'transfer',
    false,
    4,
    'The token does not allow this.',
    'Use the link exactly as it was given.',
  ),
  notFound: row(
    4,
    'transfer',
    false,
    5,
    'The server does not know this transfer.',
    'Check the link; ask the sender for a new one.',
  ),
  expired: row(
    5,
    'transfer',
    false,
    5,
    'The transfer has expired and its bytes were removed.',
    'Ask the sender to send it again.',
  ),
  flowControl: row(
    6,
    'connection',
    false,
    1,
    'The other side sent more than it was allowed to.',
    'Update Sluice on the other side.',
  ),
  tooLarge: row(
    7,
    'connection',
    false,
    1,
    'A message or record is larger than the limit.',
    'Update Sluice on the other side; the limits are in the specification.',
  ),
  limit: row(
    8,
    'transfer',
    true,
    1,
    'A limit of the server was reached.',
    'Wait until other transfers end, or ask the operator to raise the limit.',
  ),
  conflict: row(
    9,
    'transfer',
    false,
    1,
    'Two different contents claim the same place in the transfer.',
    'Start a new transfer with --new.',
  ),
  fenced: row(
    10,
    'transfer',
    false,
    1,
    'A newer sender has taken over this transfer.',
    'Let the other sender finish, or start a new transfer with --new.',
  ),
  digestMismatch: row(
    11,
    'transfer',
    true,
    7,
    'A record arrived damaged.',
    'It is asked for again by itself.',
  ),
  sourceChanged: row(
    12,
    'transfer',
    false,
    1,
    'A source file changed since it was partly sent.',
    'Run the same command with --new to send it as a new transfer.',
  ),
  storageFull: row(
    13,
    'transfer',
    true,
    9,
    'The disk of the server is full.',
    'Free space on the server; what was acknowledged is safe and sending goes on by itself.',
  ),
  quota: row(
    14,
    'transfer',
    false,
    9,
    'The transfer exceeds a quota of the server.',
    'Send less, or ask the operator to raise the quota.',
  ),
  overloaded: row(
    15,
    'connection',
    true,
    6,
    'This side reads too slowly for even its control messages.',
    'Try again with a faster connection.',
  ),
  unsupported: row(
    16,
    'transfer',
    false,
    1,
    'The transfer needs a feature this version does not have.',
    'Update Sluice on this side.',
  ),
  goingAway: row(
    17,
    'connection',
    true,
    6,
    'The server is shutting down.',
    'It reconnects by itself when the server is back.',
  ),
  decryptFailed: row(
    18,
    'transfer',
    false,
    7,
    'The content cannot be decrypted with this key.',
    'Use the link exactly as it was given.',
  ),
  corrupted: row(
    19,
    'transfer',
    false,
    7,
    'Stored data of this transfer fails verification; it was not delivered.',
    'Send it again with --new; ask the operator to check the disk.',
  ),
  peerTimeout: row(
    20,
    'connection',
    true,
    6,
    'Nothing was heard from the other side for too long.',
    'It reconnects by itself; check the network if it does not.',
  ),
  rateLimited: row(21, 'connection', true, 6, 'Too many requests.', 'Wait a moment.'),
  cancelled: row(
    22,
    'transfer',
    false,
    5,
    'The sender cancelled the transfer.',
    'Ask the sender to send it again.',
  ),
  internal: row(
    23,
    'connection',
    true,
    1,
    'Something failed inside.',
    'Try again; if it stays, report it with the output of --verbose.',
  ),
  dataLost: row(
    24,
    'transfer',
    false,
    1,
    'The server lost data it had acknowledged.',
    'Send it again with --new; ask the operator to check the disk.',
  ),
  chainMismatch: row(
    25,
    'transfer',
    true,
    7,
    'What this receiver holds is not a prefix of the transfer.',
    'It goes back to the last common point by itself.',
  ),
  sealed: row(
    26,
    'transfer',
    false,
    1,
    'The transfer is complete and takes no more records.',
    'Start a new transfer with --new.',
  ),

  usage: row(100, 'local', false, 2, 'The command was called wrongly.', 'See --help.'),
  refused: row(101, 'local', false, 3, 'The transfer was refused.', 'Run the command again to accept it.'),
  badLink: row(
    102,
    'local',
    false,
    2,
    'This is not a Sluice link.',
    'A link looks like https://host/t/ID#SECRET; quote it in the shell.',
  ),
  unreachable: row(
    103,
    'local',
    true,
    6,
    'The server cannot be reached.',
    'Check the address and that the server is running (sluice serve).',
  ),
  notSluice: row(
    104,
    'local',
    false,
    6,
    'The address answers, but not as a Sluice server.',
    'Check the address and any proxy in between.',
  ),
  localDisk: row(
    105,
    'local',
    false,
    8,
    'The local disk refused a read or write.',
    'Free space or fix permissions, then run the same command again; it goes on where it stopped.',
  ),
  integrity: row(
    106,
    'local',
    false,
    7,
    'The content does not match its checksum.',
    'Run the same command again; if it stays, ask the sender to send it again.',
  ),
  incomplete: row(
    107,
    'local',
    false,
    1,
    'Some files could not be transferred.',
    'The files are named above; the others arrived.',
  ),
  interrupted: row(108, 'local', false, 130, 'Interrupted.', 'Run the same command again to go on.'),
  waitTimeout: row(
    109,
    'local',
    false,
    6,
    'Nothing arrived within the given time.',
    'Run the same command again later, or with a longer --timeout.',
  ),
  dataFolder: row(
    110,
    'local',
    false,
    1,
    'The data folder cannot be used.',
    'Choose another folder with --data.',
  ),
  addressInUse: row(
    111,
    'local',
    false,
    1,
    'The address is in use.',
    'Choose another port with --port, or --port 0 for a free one.',
  ),
  unsafeName: row(
    112,
    'local',
    false,
    1,
    'A file name is not safe to create here.',
    'The file was skipped; ask the sender to rename it.',
  ),
  brokenPipe: row(
    113,
    'local',
    false,
    1,
    'The program reading our output has gone.',
    'Nothing to do; run the command again to receive the rest.',
  ),
};

const CODE_BY_NUMBER: ReadonlyMap<number, SluiceErrorCode> = new Map(
  Object.entries(ERROR_TABLE).map(([code, { number }]) => [number, code as SluiceErrorCode]),
);

const CLOSE_CODE_BASE = 4000;

/** WebSocket close code that announces this error: 4000 + its number. */
export function closeCodeOf(code: SluiceErrorCode): number {
  return CLOSE_CODE_BASE + ERROR_TABLE[code].number;
}

/** The error a close code announces, or null for codes that are not ours. */
export function errorCodeOfClose(closeCode: number): SluiceErrorCode | null {
  return CODE_BY_NUMBER.get(closeCode - CLOSE_CODE_BASE) ?? null;
}

/** True for a string a peer may send as an error code: known here and not `local`. */
export function isWireErrorCode(code: string): code is SluiceErrorCode {
  return Object.hasOwn(ERROR_TABLE, code) && ERROR_TABLE[code as SluiceErrorCode].scope !== 'local';
}
