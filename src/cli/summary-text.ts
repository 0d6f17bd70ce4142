/** Phrases that several commands say alike: counts, times, rates. Not responsible for who says them when. */
import { SluiceError } from '../protocol/index.ts';
import { formatBytes, formatDuration, formatRate } from './quantities.ts';

/** `1 file`, `20,000 files`. */
export function fileCount(files: number): string {
  return files === 1 ? '1 file' : `${COUNT.format(files)} files`;
}

/** `214 files, 3.20 GB`. */
export function filesAndBytes(files: number, bytes: number): string {
  return `${fileCount(files)}, ${formatBytes(bytes)}`;
}

/** `in 1:31 (38.2 MB/s)`; without a rate where it would only be the noise of starting. */
export function pace({ seconds, sizeBytes }: { seconds: number; sizeBytes: number }): string {
  if (seconds < 1) return `in ${seconds.toFixed(1)} s`;
  return `in ${formatDuration(seconds * 1000)} (${formatRate(sizeBytes / seconds)})`;
}

/** A moment in the time of this place, to the minute: `2026-11-23 16:20`. */
export function wallTime(ms: number): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return 'an unknown time';
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}`
  );
}

/** A span of time in one unit, as people say it: `90 s`, `45 min`, `24 h`, `7 days`. */
export function roughDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours <= 72 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

/** The error of a transfer that ended with problems, which were named before. */
export function incomplete(problems: number): SluiceError {
  return new SluiceError('incomplete', `${COUNT.format(problems)} in all.`);
}

const COUNT = new Intl.NumberFormat('en');
