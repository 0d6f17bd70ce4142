/**
 * Command lines that a person can copy from the screen into a shell.
 *
 * Responsible for: quoting, and leaving out options that must not be repeated.
 * Not responsible for: Windows shells, which quote in ways of their own; the words are the same there.
 */

/** One word for a POSIX shell. Controls are written as escapes, so that no name can act on a terminal. */
export function shellWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (!UNPRINTABLE.test(word)) return `'${word.replaceAll("'", `'\\''`)}'`;
  const escaped = Array.from(word, (character) => {
    if (character === '\\' || character === "'") return `\\${character}`;
    if (!UNPRINTABLE.test(character)) return character;
    // As bytes: every shell that knows $'...' knows \xHH, and the next character must not be taken into it.
    return Array.from(Buffer.from(character), (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  });
  return `$'${escaped.join('')}'`;
}

export function shellCommand(words: readonly string[]): string {
  return words.map(shellWord).join(' ');
}

/** The words without an option that takes no value. What stands behind `--` is never an option. */
export function withoutFlag(words: readonly string[], flag: string): string[] {
  const end = words.indexOf('--');
  return words.filter((word, position) => word !== flag || (end !== -1 && position > end));
}

/** The words with more options, put before `--` if there is one. */
export function withOptions(words: readonly string[], options: readonly string[]): string[] {
  const end = words.indexOf('--');
  return end === -1 ? [...words, ...options] : [...words.slice(0, end), ...options, ...words.slice(end)];
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
