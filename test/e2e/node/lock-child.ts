// Tries to take a lock when told to, says whether it got it, and holds it until it is killed.
import { takeLock } from '../../../src/node/process-lock.ts';

process.stdout.write('ready\n');
process.stdin.once('data', () => {
  const lock = takeLock(process.argv[2] ?? '');
  process.stdout.write(lock === null ? 'refused\n' : 'taken\n');
});
