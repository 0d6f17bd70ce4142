/** The command line's entry: bin/sluice.js imports this file after it has checked the runtime. */
import { catchStrays } from './exit.ts';
import { reportOutsideCommand, runCommandLine } from './program.ts';
import { flushed, processSurroundings } from './surroundings.ts';

/** Longer than the last work takes, shorter than anybody's patience. */
const LINGER_MS = 1000;

const surroundings = processSurroundings();
catchStrays((error) => reportOutsideCommand(surroundings, error));
const exitCode = await runCommandLine(surroundings);
await flushed(surroundings.stdout);
await flushed(surroundings.stderr);
// The process ends when its last work is done: what a sender remembers is written, the connection says goodbye. Only a
// source that never ends, such as a terminal being read, would keep it alive.
process.exitCode = exitCode;
surroundings.releaseStdin();
setTimeout(() => process.exit(), LINGER_MS).unref();
