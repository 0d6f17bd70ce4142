/** Prints the Markdown of a file of raw results: `node bench/report.ts bench/results/<date>-<label>.json`. */
import { readReport } from './harness/report-file.ts';
import { formatReport } from './harness/table.ts';

const path = process.argv[2];
if (path === undefined) {
  process.stderr.write('node bench/report.ts FILE\n');
  process.exitCode = 2;
} else {
  process.stdout.write(formatReport(readReport(path)));
}
