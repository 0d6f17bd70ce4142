/**
 * Makes text from a peer safe to look at: the one function between any name or message we did not write
 * ourselves and any terminal, log or page.
 *
 * Responsible for: characters that command a terminal, reorder or hide text, or start a new line.
 * Not responsible for: HTML (a page sets text, never markup), the width of a line (cli/terminal-width.ts), or
 * whether a name may become a file (safe-path.ts). The result is for eyes only: never open, compare or send it.
 *
 * Each run of such characters becomes one U+FFFD, the replacement character: visible, one cell wide, and no
 * longer than what it stands for. Replaced are
 *
 *   - controls: C0 with tab and line breaks, DEL, C1 (U+009B starts an escape sequence in 8-bit terminals)
 *   - line and paragraph separators
 *   - format characters: bidi embeddings, overrides, isolates and marks, zero-width space and joiners, soft
 *     hyphen, tags, byte order mark
 *   - everything else Unicode lets a renderer leave out, blank letters (Hangul fillers, empty Braille cell)
 *   - lone surrogates and noncharacters
 *
 * with one exception: a joiner or variation selector in its place inside an emoji (`👩‍🚀`, `❤️`, `1️⃣`), where it
 * changes what is seen. The cost: the joiners of Persian and some Indic spelling, ideographic variation selectors
 * and the flags of England, Scotland and Wales show a U+FFFD. We accept it: telling their honest use from the
 * other one needs per-script rules, and this must stay short enough to be believed.
 */

/** How {@link displayName} and {@link displayPath} cut. */
export interface DisplayOptions {
  /**
   * Most characters (code points) in the result; anything longer is cut and ends in `…`. Default 1024 for a
   * name and 4096 for a path: more than a lawful one has, so only hostile text is cut. At least 1.
   */
  readonly maxCharacters?: number;
}

/**
 * The text with everything replaced that could act on a terminal, a log or a reader's eye. Never throws,
 * whatever the string; its work is bounded by `maxCharacters`; applying it twice changes nothing more.
 */
export function displayName(raw: string, options: DisplayOptions = {}): string {
  const maxCharacters = Math.max(1, options.maxCharacters ?? 1024);
  return cut(replaceUnsafe(raw, maxCharacters), maxCharacters);
}

/**
 * A path for display: its components joined by `/`. A `/` inside a component is replaced like a control
 * character, so that one odd component cannot pass for two.
 */
export function displayPath(components: readonly string[], options: DisplayOptions = {}): string {
  const maxCharacters = Math.max(1, options.maxCharacters ?? 4096);
  let path = '';
  for (const [position, component] of components.entries()) {
    if (position > 0) path += '/';
    path += replaceUnsafe(component, maxCharacters).replaceAll('/', REPLACEMENT);
    // Two units per character: beyond this the rest would be cut away in any case.
    if (path.length > 2 * maxCharacters) break;
  }
  return cut(path, maxCharacters);
}

const REPLACEMENT = '\uFFFD';

const PICTOGRAPH = String.raw`\p{Extended_Pictographic}(?:[\uFE0E\uFE0F]|\p{Emoji_Modifier})?`;
const EMOJI = String.raw`${PICTOGRAPH}(?:\u200D${PICTOGRAPH})*|[0-9#*]\uFE0F\u20E3`;
const UNSAFE = String.raw`[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\u2800]`;

/** Emoji come first, so that the invisible characters they own are consumed with them. */
const EMOJI_OR_UNSAFE = new RegExp(`(${EMOJI})|${UNSAFE}+`, 'gu');

function replaceUnsafe(raw: string, maxCharacters: number): string {
  // A run of any length becomes one character, so a little more than the result is looked at, but not megabytes.
  const lookAhead = 4 * maxCharacters;
  const looked = raw.length > lookAhead ? `${raw.slice(0, lookAhead)}…` : raw;
  return looked.replace(EMOJI_OR_UNSAFE, (_match, emoji: string | undefined) => emoji ?? REPLACEMENT);
}

function cut(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  const characters = Array.from(text);
  if (characters.length <= maxCharacters) return text;
  // The cut may fall inside an emoji and leave a joiner that joins nothing.
  const head = characters
    .slice(0, maxCharacters - 1)
    .join('')
    .replace(/[\u200D\uFE0E\uFE0F]+$/u, '');
  return `${head}…`;
}
