#!/usr/bin/env node
// The `sluice` command. It finds a Node that is new enough and then imports the real program from dist/.
// Plain JavaScript with old syntax only: it must be able to say that Node is too old. No logic belongs here.
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitLike, findPinnedRuntime, isSupported, runForeground, tooOldMessage } from './runtime.js';

const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));

if (isSupported()) {
  start();
} else {
  const runtime = findPinnedRuntime(root);
  if (runtime === undefined) {
    process.stderr.write(tooOldMessage());
    process.exitCode = 1;
  } else {
    void runForeground(runtime, [self].concat(process.argv.slice(2))).then(exitLike);
  }
}

function start() {
  const program = new URL('../dist/cli/main.js', import.meta.url);
  if (!existsSync(program)) {
    process.stderr.write(`sluice: not built yet; run \`npm start\` in ${root}\n`);
    process.exitCode = 1;
    return;
  }
  hideSqliteWarning();
  void import(program.href);
}

/** Node 22 calls node:sqlite experimental on every start. We know, and the reader can do nothing about it. */
function hideSqliteWarning() {
  const emitWarning = process.emitWarning;
  process.emitWarning = function (warning, ...rest) {
    const type = rest[0] && typeof rest[0] === 'object' ? rest[0].type : rest[0];
    if (type === 'ExperimentalWarning' && String(warning).startsWith('SQLite ')) return;
    emitWarning.call(process, warning, ...rest);
  };
}
