/** The command line's entry: bin/sluice.js imports this file after it has checked the runtime. */
import { catchStrays } from './exit.ts';
import { reportOutsideCommand, runCommandLine } from './program.ts';
import { flushed, processSurroundings } from './surroundings.ts';

const surroundings = processSurroundings();
catchStrays((error) => reportOutsideCommand(surroundings, error));
const exitCode = await runCommandLine(surroundings);
await flushed(surroundings.stdout);
await flushed(surroundings.stderr);
// Explicitly: a source that never ends, such as a terminal being read, would keep the process alive.
process.exit(exitCode);
