/**
 * Durations and sizes as people write and read them on the command line.
 *
 * Responsible for: parsing option values strictly, and formatting figures so that they hardly change in width.
 * Not responsible for: which values an option allows, nor for laying out a line.
 */

/**
 * Milliseconds of a duration such as `24h`, `90s`, `1d12h`, `1.5h` or `500ms`. Units: d, h, m, s, ms; each at
 * most once and from large to small. A number always needs its unit.
 *
 * @throws Error with a sentence for the user when the text is anything else, is not a whole number of
 * milliseconds, or is beyond 2^53-1
 */
export function parseDuration(text: string): number {
  const parts = DURATION.exec(text)?.slice(1);
  if (text === '' || parts === undefined)
    throw new Error(`${quoted(text)} is not a duration. ${DURATION_HINT}`);
  let total = 0n;
  for (const [position, amount] of parts.entries()) {
    if (amount !== undefined) total += multiply(amount, DURATION_UNITS[position] ?? 1n, text, 'milliseconds');
  }
  return toSafeNumber(total, text);
}

/**
 * Bytes of a size such as `8MiB`, `10MB`, `1.5GB` or `1024`. KiB, MiB, GiB, TiB are powers of 1024; kB, MB, GB, TB
 * powers of 1000; upper and lower case mean the same, always bytes. A bare `10M` is refused, because tools
 * disagree about it.
 *
 * @throws Error with a sentence for the user when the text is anything else, is not a whole number of bytes, or
 * is beyond 2^53-1
 */
export function parseSize(text: string): number {
  const [, amount = '', unit = ''] = SIZE.exec(text) ?? [];
  if (amount === '') throw new Error(`${quoted(text)} is not a size. ${SIZE_HINT}`);
  const name = unit.toLowerCase();
  const factor = SIZE_UNITS.get(name);
  if (factor === undefined) {
    if (!SIZE_UNITS.has(`${name}b`)) throw new Error(`${quoted(text)} has an unknown unit. ${SIZE_HINT}`);
    const decimal = `${amount}${name === 'k' ? 'k' : name.toUpperCase()}B (powers of 1000)`;
    const binary = `${amount}${name.toUpperCase()}iB (powers of 1024)`;
    throw new Error(`${quoted(text)} can be read in two ways. Write ${decimal} or ${binary}.`);
  }
  return toSafeNumber(multiply(amount, factor, text, 'bytes'), text);
}

/**
 * Bytes in decimal units with three digits: `999 B`, `1.73 GB`, `38.2 MB`, `612 kB`. Anything that is not a
 * number from 0 is shown as `–`.
 */
export function formatBytes(bytes: number): string {
  if (!(bytes >= 0 && bytes < Number.POSITIVE_INFINITY)) return '–';
  const exponent = unitExponent(bytes);
  return `${threeDigits(bytes, exponent)} ${BYTE_UNITS[exponent]}`;
}

/** A part of a whole in the unit of the whole, `1.73/3.20 GB`. */
export function formatBytesOf(partBytes: number, wholeBytes: number): string {
  const whole = formatBytes(wholeBytes);
  if (whole === '–' || !(partBytes >= 0 && partBytes <= wholeBytes))
    return `${formatBytes(partBytes)}/${whole}`;
  return `${threeDigits(partBytes, unitExponent(wholeBytes))}/${whole}`;
}

/** A rate, `38.2 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/**
 * A length of time, rounded to seconds: `0:39`, `1:02:03`; from a day on `2 d 3 h`, from ten `12 d`. Takes milliseconds, as
 * {@link parseDuration} returns them. Anything that is not a number from 0 is shown as `–`.
 */
export function formatDuration(durationMs: number): string {
  if (!(durationMs >= 0 && durationMs < Number.POSITIVE_INFINITY)) return '–';
  const total = Math.round(durationMs / 1000);
  const days = Math.floor(total / 86_400);
  const hours = Math.floor(total / 3600) % 24;
  const minutes = Math.floor(total / 60) % 60;
  const seconds = twoDigits(total % 60);
  if (days > 0) return days < 10 ? `${days} d ${hours} h` : `${days} d`;
  return hours > 0 ? `${hours}:${twoDigits(minutes)}:${seconds}` : `${minutes}:${seconds}`;
}

// Digits are bounded so that a hostile value costs nothing; nine decimals are enough for any exact byte count.
const AMOUNT = String.raw`\d{1,16}(?:\.\d{1,9})?`;
const DURATION = new RegExp(
  `^${['d', 'h', 'm(?!s)', 's', 'ms'].map((unit) => `(?:(${AMOUNT})${unit})?`).join('')}$`,
);
const DURATION_UNITS: readonly bigint[] = [86_400_000n, 3_600_000n, 60_000n, 1000n, 1n];
const DURATION_HINT = 'Write a number with a unit (d, h, m, s or ms), for example 24h, 90s or 1d12h.';

const SIZE = new RegExp(`^(${AMOUNT})([a-z]*)$`, 'i');
const SIZE_HINT = 'Write bytes, or a number with a unit such as 256KiB, 8MiB, 10MB or 2GB.';
const SIZE_UNITS: ReadonlyMap<string, bigint> = new Map([
  ['', 1n],
  ['b', 1n],
  ...['k', 'm', 'g', 't'].flatMap((letter, position): [string, bigint][] => [
    [`${letter}b`, 1000n ** BigInt(position + 1)],
    [`${letter}ib`, 1024n ** BigInt(position + 1)],
  ]),
]);

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** Exact where floating point is not: 0.1 GB is 100 000 000 bytes, and 0.0001 kB is refused rather than 0. */
function multiply(amount: string, factor: bigint, text: string, unit: string): bigint {
  const [whole = '', fraction = ''] = amount.split('.');
  const scale = 10n ** BigInt(fraction.length);
  const product = BigInt(whole + fraction) * factor;
  if (product % scale !== 0n) throw new Error(`${quoted(text)} is not a whole number of ${unit}.`);
  return product / scale;
}

function toSafeNumber(value: bigint, text: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Error(`${quoted(text)} is too large.`);
  return Number(value);
}

/** The value comes from the user's own command line, but it may be long, or pasted with controls in it. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 39)}…` : text);
}

function unitExponent(bytes: number): number {
  let exponent = 0;
  // 999.5 of a unit would be rounded to four digits.
  for (let rest = bytes; rest >= 999.5 && exponent < BYTE_UNITS.length - 1; rest /= 1000) exponent += 1;
  return exponent;
}

function threeDigits(bytes: number, exponent: number): string {
  if (exponent === 0) return String(Math.round(bytes));
  const value = bytes / 1000 ** exponent;
  // Where rounding makes the next digit, one decimal less: 9.999 is 10.0, not 10.00.
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
