// Writes docs/errors.md from the error table. Run with: node scripts/make-errors-doc.ts
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  closeCodeOf,
  ERROR_TABLE,
  type ErrorScope,
  type SluiceErrorCode,
} from '../src/protocol/error-table.ts';

const SECTIONS: readonly (readonly [ErrorScope, string, string])[] = [
  ['connection', 'The connection ends', 'Told in an `error` message, then by the WebSocket close code.'],
  [
    'transfer',
    'One stream ends',
    'Told in a `reset` message; everything else on the connection goes on. Where such an error ends a connection after all, the close code is the one named.',
  ],
  [
    'local',
    'Never on the wire',
    'These happen on one side and are its own affair; a peer is told `internal`.',
  ],
];

/** The whole document. */
export function makeErrorsDoc(): string {
  return [
    '<!-- Made by scripts/make-errors-doc.ts from src/protocol/error-table.ts: change it there. -->',
    '# Errors',
    '',
    'Every error has a code. Programs match on the code, never on the sentence. **Retry**: the same attempt can succeed',
    'later without a person doing anything. **Exit** is the exit code of the command line.',
    '',
    ...SECTIONS.flatMap(([scope, title, note]) => [`## ${title}`, '', note, '', ...tableOf(scope), '']),
  ].join('\n');
}

function tableOf(scope: ErrorScope): string[] {
  const rows = (Object.keys(ERROR_TABLE) as SluiceErrorCode[]).filter(
    (code) => ERROR_TABLE[code].scope === scope,
  );
  const isOnWire = scope !== 'local';
  const columns = ['Code', ...(isOnWire ? ['Close'] : []), 'Retry', 'Exit', 'What happened', 'What to do'];
  return [
    `| ${columns.join(' | ')} |`,
    `|${columns.map(() => '---').join('|')}|`,
    ...rows.map((code) => {
      const { retryable, exitCode, sentence, hint } = ERROR_TABLE[code];
      const close = isOnWire ? [closeCodeOf(code)] : [];
      const cells = [`\`${code}\``, ...close, retryable ? 'yes' : 'no', exitCode, sentence, hint];
      return `| ${cells.join(' | ')} |`;
    }),
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('../docs/errors.md', import.meta.url), makeErrorsDoc());
}
