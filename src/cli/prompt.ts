/**
 * One question with yes or no.
 *
 * Responsible for: asking on standard error, so that standard output stays free for data.
 * Not responsible for: whether there is anybody to ask.
 *
 * The terminal keeps its usual line mode: Ctrl-C stays a signal, a dumb terminal and a screen reader get a plain
 * line of text, and nothing has to be restored afterwards.
 */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** More wrong answers than this are taken for something that is not a person. */
const MAX_ASKED = 5;

/** True for yes or just Enter; false for no, or when the input ends without an answer. */
export async function confirm(question: string, input: Readable, output: Writable): Promise<boolean> {
  const lines = createInterface({ input, terminal: false });
  try {
    output.write(`${question} [Y/n] `);
    let asked = 1;
    for await (const line of lines) {
      const answer = line.trim().toLowerCase();
      if (answer === '' || answer === 'y' || answer === 'yes') return true;
      if (answer === 'n' || answer === 'no') return false;
      if (asked === MAX_ASKED) return false;
      asked += 1;
      output.write('Please answer y or n. [Y/n] ');
    }
    // Ctrl-D leaves the cursor behind the question.
    output.write('\n');
    return false;
  } finally {
    lines.close();
    input.pause();
  }
}
