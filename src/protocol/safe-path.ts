/**
 * Decides whether a path that a peer announced may be created here, and names the ways it may clash.
 *
 * Responsible for: the rules of a manifest path on the wire (`checkPath`), what a platform adds to them
 * (`safePathOn`), when two names are one file there (`collisionKey`), and the next free name (`keepBothName`).
 * Not responsible for: touching a file system (links, races and short names are the sink's), nor for showing a
 * name to anybody (see display-name.ts).
 *
 * A path is a list of components, never a string with separators, and a bad one is refused, never repaired:
 * every repair is a second name for a file, and each known bypass of this kind of check went through a repair.
 *
 * What is refused where, and why:
 *
 *   everywhere   what escapes, or what no file can be called: no component, an empty one, `.`, `..`, `/`, lone
 *                surrogates (no UTF-8 form), lengths. Control characters too: legal on Linux, but a name with a
 *                line break in it serves nobody except those who forge logs and scripts.
 *   windows      also `\` and `:` (separators, drives, alternate data streams), `<>"|?*`, device names, and a
 *                trailing dot or space (Win32 drops them, so the name checked is not the name created).
 *   macos        also `:` (the old separator, shown as `/`) and `..namedfork` (reaches into a file's forks).
 *   posix        nothing more. `a:b`, `C:` and `a\b` are ordinary names there (systemd ships units called
 *                `a\x2db`) and cannot leave the folder, so refusing them would lose files and gain nothing.
 *
 * An absolute path needs no rule of its own: `/etc` cannot be written as components without a `/` or an empty
 * one. The windows rules are a superset of the others: a receiver that cannot know its platform uses those.
 */

/** The kinds of file system naming the receiver knows. A browser uses `windows`, the strictest. */
export type SafePathPlatform = 'posix' | 'windows' | 'macos';

/** Why a path was refused. Stable strings: they may be shown, counted and matched on. */
export type SafePathProblem =
  /** The list of components is empty. */
  | 'empty-path'
  /** A component is the empty string (the list form of `a//b`, `/a` and `a/`). */
  | 'empty-component'
  /** A component is `.` or `..`. */
  | 'dot-component'
  /** A component holds a path separator of the platform. */
  | 'separator'
  /** A component holds a control character (C0, DEL or C1). */
  | 'control-character'
  /** A component holds half a surrogate pair, so it has no UTF-8 form. */
  | 'lone-surrogate'
  /** A component is longer than {@link PathLimits.maxComponentBytes}. */
  | 'component-too-long'
  /** The path is longer than {@link PathLimits.maxPathBytes}. */
  | 'path-too-long'
  /** There are more components than {@link PathLimits.maxDepth}. */
  | 'too-deep'
  /** A component holds a character the platform gives a meaning of its own. */
  | 'reserved-character'
  /** A component is a name the platform gives a meaning of its own. */
  | 'reserved-name'
  /** A component ends in a dot or a space, which the platform would drop. */
  | 'trailing-dot-or-space';

/** The answer of a check; `reason` is the first problem found. */
export type PathCheck = { readonly ok: true } | { readonly ok: false; readonly reason: SafePathProblem };

/** Sizes a path must keep within. */
export interface PathLimits {
  /** UTF-8 bytes in one component. Default 255, what every common file system can store. */
  readonly maxComponentBytes: number;
  /** UTF-8 bytes in the whole path, one byte counted between components. Default 4096. */
  readonly maxPathBytes: number;
  /** Components in the path. Default 255. */
  readonly maxDepth: number;
}

/** The limits used where none are given. */
export const DEFAULT_PATH_LIMITS: PathLimits = { maxComponentBytes: 255, maxPathBytes: 4096, maxDepth: 255 };

/**
 * Checks a manifest path against the rules that hold everywhere. Senders, servers and receivers all apply it.
 * Work is bounded by the limits, whatever the size of the input.
 */
export function checkPath(components: readonly string[], limits: Partial<PathLimits> = {}): PathCheck {
  const { maxComponentBytes, maxPathBytes, maxDepth } = { ...DEFAULT_PATH_LIMITS, ...limits };
  if (components.length === 0) return refused('empty-path');
  if (components.length > maxDepth) return refused('too-deep');
  let pathBytes = components.length - 1;
  for (const component of components) {
    // UTF-8 is never shorter than UTF-16 in units: a huge name is refused without being read.
    if (component.length > maxComponentBytes) return refused('component-too-long');
    const problem = componentProblem(component);
    if (problem !== undefined) return refused(problem);
    const componentBytes = utf8ByteLength(component);
    if (componentBytes > maxComponentBytes) return refused('component-too-long');
    pathBytes += componentBytes;
    if (pathBytes > maxPathBytes) return refused('path-too-long');
  }
  return { ok: true };
}

/**
 * Checks whether a path may be created on a platform: {@link checkPath} plus what that platform reserves. A
 * receiver calls this for every path before it creates anything for any of them.
 */
export function safePathOn(
  platform: SafePathPlatform,
  components: readonly string[],
  limits: Partial<PathLimits> = {},
): PathCheck {
  const general = checkPath(components, limits);
  if (!general.ok) return general;
  for (const component of components) {
    const problem = platformProblem(platform, component);
    if (problem !== undefined) return refused(problem);
  }
  return general;
}

/**
 * The key under which a platform takes two paths for one file: equal keys may be the same file, different keys
 * are not (on the file systems that platform installs by default). Meant for a map of names already given out.
 *
 * - `posix`: the exact name.
 * - `windows`: case-folded. NTFS does not normalise, so `é` composed and decomposed stay two files.
 * - `macos`: decomposed and case-folded, without the characters that HFS+ ignores.
 *
 * Folding errs towards "the same" (`ß` with `ss`, `ı` with `i`): one file too many called `(2)` is harmless, one
 * overwritten is not. Not covered, because a name cannot tell: Windows short names (`PROGRA~1`) and foreign
 * file systems mounted on Linux. A sink therefore still creates files exclusively.
 */
export function collisionKey(platform: SafePathPlatform, components: readonly string[]): string {
  return components.map((component) => componentKey(platform, component)).join('/');
}

/**
 * The name for a further copy: `photo.jpg` becomes `photo (2).jpg`, `archive.tar.gz` becomes
 * `archive (2).tar.gz`, `.bashrc` becomes `.bashrc (2)`. The stem is cut between code points so that the result
 * keeps to 255 UTF-8 bytes; the extension is kept whole. A component that is safe on a platform stays safe.
 *
 * @param component a component that passed {@link checkPath}
 * @param attempt the number to show, 2 for the first copy; the caller counts up until a name is free
 * @throws RangeError when `attempt` is not a whole number from 2
 */
export function keepBothName(component: string, attempt: number): string {
  if (!Number.isSafeInteger(attempt) || attempt < 2)
    throw new RangeError('attempt must be a whole number from 2');
  const extension = EXTENSION.exec(component)?.[1] ?? '';
  const stem = component.slice(0, component.length - extension.length);
  const ending = ` (${attempt})${extension}`;
  return cutToBytes(stem, DEFAULT_PATH_LIMITS.maxComponentBytes - utf8ByteLength(ending)) + ending;
}

const CONTROL = /\p{Cc}/u;
// In a `u` pattern a proper pair is one code point, so this matches halves only.
const LONE_SURROGATE = /\p{Cs}/u;

const WINDOWS_RESERVED = /[<>:"|?*]/u;

/**
 * Device names are taken whatever follows a dot, and with spaces before it (`nul .tar.gz`). The superscripts are
 * digits to Windows, from Latin-1. Source: "Naming Files, Paths, and Namespaces", Microsoft Learn; CVE-2023-45284.
 */
const WINDOWS_DEVICE = /^(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|$)/iu;

/** Code points HFS+ leaves out when it compares names. Source: Apple Technical Note TN1150. */
const HFS_IGNORED = /[\u200C-\u200F\u202A-\u202E\u206A-\u206F\uFEFF]/gu;

/**
 * The stem must hold something besides dots, or `.bashrc` would be all extension. The length is bounded so that
 * a stem always remains; `Mr. Smith and friends` has no extension, hence no spaces.
 */
const EXTENSION = /^\.*[^.].*?((?:\.tar)?\.[\p{L}\p{N}_~-]{1,16})$/isu;

function refused(reason: SafePathProblem): PathCheck {
  return { ok: false, reason };
}

function componentProblem(component: string): SafePathProblem | undefined {
  if (component === '') return 'empty-component';
  if (component === '.' || component === '..') return 'dot-component';
  if (component.includes('/')) return 'separator';
  if (CONTROL.test(component)) return 'control-character';
  if (LONE_SURROGATE.test(component)) return 'lone-surrogate';
  return undefined;
}

function platformProblem(platform: SafePathPlatform, component: string): SafePathProblem | undefined {
  switch (platform) {
    case 'posix':
      return undefined;
    case 'macos':
      if (component.includes(':')) return 'reserved-character';
      if (component.toLowerCase() === '..namedfork') return 'reserved-name';
      return undefined;
    case 'windows':
      if (component.includes('\\')) return 'separator';
      if (WINDOWS_RESERVED.test(component)) return 'reserved-character';
      if (WINDOWS_DEVICE.test(component)) return 'reserved-name';
      if (component.endsWith('.') || component.endsWith(' ')) return 'trailing-dot-or-space';
      return undefined;
  }
}

function componentKey(platform: SafePathPlatform, component: string): string {
  switch (platform) {
    case 'posix':
      return component;
    case 'windows':
      return foldCase(component);
    case 'macos':
      return foldCase(component.replace(HFS_IGNORED, '').normalize('NFD')).normalize('NFD');
  }
}

/** Lower first: `ẞ` and the Kelvin sign have no upper form, and meet `ß` and `k` only through their lower one. */
function foldCase(text: string): string {
  return text.toLowerCase().toUpperCase();
}

function utf8ByteLength(text: string): number {
  let bytes = 0;
  for (const character of text) bytes += utf8Bytes(character);
  return bytes;
}

function utf8Bytes(character: string): number {
  const codePoint = character.codePointAt(0) ?? 0;
  if (codePoint < 0x80) return 1;
  if (codePoint < 0x800) return 2;
  return codePoint < 0x10000 ? 3 : 4;
}

function cutToBytes(text: string, maxBytes: number): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += utf8Bytes(character);
    if (bytes > maxBytes) break;
    end += character.length;
  }
  return text.slice(0, end);
}
