/**
 * What the progress display says: a snapshot of a transfer laid out as two lines for a terminal, or as one plain
 * line for a log.
 *
 * Responsible for: which facts are shown, in what order, and what is left out when there is little room.
 * Not responsible for: when anything is drawn, and every control sequence including colour (progress-display.ts).
 *
 *   ▕██████▒▒▒        ▏  54%  1.73/3.20 GB  safe 1.20 GB  38.2 MB/s  ETA 0:39
 *   sending  12/214 files  receivers: 3 live, 1 done  holiday/IMG_2041.MOV
 *
 * Figures have fixed places and what varies in length comes last, so that the lines stand still while they change.
 */
import { displayName } from '../protocol/display-name.ts';
import { formatBytes, formatBytesOf, formatDuration, formatRate } from './quantities.ts';
import { cellWidth, fitCells } from './terminal-width.ts';

/** What a transfer is doing, as far as the person watching is concerned. */
export type ProgressState =
  | 'connecting'
  | 'waiting-for-sender'
  | 'checking'
  | 'sending'
  | 'receiving'
  | 'paused'
  | 'reconnecting'
  | 'waiting-for-space'
  | 'verifying'
  | 'finishing';

/** All that is shown about a transfer at one moment. Names may be as the peer sent them. */
export interface ProgressSnapshot {
  readonly kind: 'send' | 'receive';
  readonly state: ProgressState;
  /** Number of the present attempt to reconnect, from 1. */
  readonly attempt?: number | undefined;
  /** Name of the transfer. */
  readonly name: string;
  /** Bytes that have left the sender. A receiver may give it to show what is there to be had. */
  readonly sentBytes?: number | undefined;
  /** Bytes that are safe on the server. Shown by a sender only; not known counts as none. */
  readonly safeBytes?: number | undefined;
  /** Bytes that this receiver has verified and written. */
  readonly receivedBytes?: number | undefined;
  /** Bytes of the whole transfer; null while unknown. */
  readonly totalBytes: number | null;
  readonly bytesPerSecond: number;
  readonly etaSeconds: number | null;
  /** Seconds without a byte. From 3 on they are shown in place of the rate. */
  readonly stalledSeconds?: number | undefined;
  /** The file being transferred, shown in place of the name. */
  readonly currentFile?: string | undefined;
  readonly receivers?: { readonly live: number; readonly done: number } | undefined;
  readonly filesDone?: number | undefined;
  readonly filesTotal?: number | undefined;
}

/** A piece of a line in one tone: `quiet` is less important than the rest, `alert` asks for attention. */
export interface ProgressSpan {
  readonly text: string;
  readonly tone: 'plain' | 'quiet' | 'accent' | 'alert';
}

/**
 * The two lines for a terminal, each of at most `cells` cells.
 *
 * @param stateSeconds how long the state has lasted; shown while nothing moves
 */
export function progressLines(
  snapshot: ProgressSnapshot,
  stateSeconds: number,
  cells: number,
): readonly [readonly ProgressSpan[], readonly ProgressSpan[]] {
  return [figuresLine(snapshot, cells), stateLine(snapshot, stateSeconds, cells)];
}

/** The same facts as one line of text, for where there is no terminal. Of any length, but bounded. */
export function plainProgress(snapshot: ProgressSnapshot, stateSeconds: number): string {
  const { rate, eta } = speed(snapshot);
  const facts = [
    percentText(snapshot),
    amountText(snapshot),
    safeText(snapshot),
    rate,
    eta,
    filesText(snapshot),
    receiversText(snapshot, 'long'),
  ];
  const label = `${stateText(snapshot, stateSeconds)} ${fitCells(displayName(snapshot.name), PLAIN_NAME_CELLS)}`;
  return `${label}: ${facts.filter((fact) => fact !== '').join(', ')}`;
}

/** Whether bytes are meant to flow in a state. The others say how long they have lasted. */
export function isMoving(state: ProgressState): boolean {
  return state === 'sending' || state === 'receiving' || state === 'checking' || state === 'verifying';
}

const INDENT = '  ';
const GAP = '  ';
const MIN_BAR_CELLS = 5;
/** Twenty steps are enough beside a percentage, and short lines survive a narrower window unbroken. */
const MAX_BAR_CELLS = 20;
const PERCENT_CELLS = 5;
const MIN_NAME_CELLS = 8;
const PLAIN_NAME_CELLS = 60;
/** Below this the receivers are counted without the word. */
const LONG_LABELS_FROM_CELLS = 64;
/** Shorter pauses are ordinary on a busy network. */
const STALLED_FROM_SECONDS = 3;
/** An age that appears at once would flicker. */
const AGE_FROM_SECONDS = 3;

const STATE_WORDS: Readonly<Record<ProgressState, string>> = {
  connecting: 'connecting',
  'waiting-for-sender': 'waiting for sender',
  checking: 'checking files',
  sending: 'sending',
  receiving: 'receiving',
  paused: 'paused',
  reconnecting: 'reconnecting',
  'waiting-for-space': 'waiting for server space',
  verifying: 'verifying',
  finishing: 'finishing',
};

function figuresLine(snapshot: ProgressSnapshot, cells: number): readonly ProgressSpan[] {
  const { rate, eta, stalled } = speed(snapshot);
  // As wide as `38.2 MB/s  ETA 23:59:59`, so that the bar keeps its length when one of them comes or goes.
  const speedText = stalled ? rate.padEnd(23) : `${rate.padStart(9)}${GAP}${eta.padEnd(12)}`;
  const speedSlot = { span: span(speedText, stalled ? 'alert' : 'plain'), rank: 1 };
  const safe = safeText(snapshot);
  const safeSlots = safe === '' ? [] : [{ span: span(safe.padEnd(12), 'quiet'), rank: 2 }];
  const amount = amountText(snapshot);
  const { totalBytes } = snapshot;
  if (totalBytes === null) {
    const start = span(INDENT + amount.padStart(7));
    return join([start], keepWhatFits([...safeSlots, speedSlot], cells - cellWidth(start.text)).kept, cells);
  }
  const amountSlot = {
    span: span(amount.padStart('0.00/'.length + formatBytes(totalBytes).length)),
    rank: 3,
  };
  const fixedCells = INDENT.length + '▕▏'.length + MIN_BAR_CELLS + PERCENT_CELLS;
  const { kept, left } = keepWhatFits([amountSlot, ...safeSlots, speedSlot], cells - fixedCells);
  const barCells = Math.min(MAX_BAR_CELLS, MIN_BAR_CELLS + left);
  const start = [span(INDENT), ...bar(snapshot, totalBytes, barCells)];
  return join([...start, span(percentText(snapshot).padStart(PERCENT_CELLS))], kept, cells);
}

function stateLine(snapshot: ProgressSnapshot, stateSeconds: number, cells: number): readonly ProgressSpan[] {
  const state = stateText(snapshot, stateSeconds);
  const files = filesText(snapshot);
  const receivers = receiversText(snapshot, cells < LONG_LABELS_FROM_CELLS ? 'short' : 'long');
  const slots = [
    { span: span(files, 'quiet'), rank: 2 },
    { span: span(receivers, 'quiet'), rank: 1 },
  ].filter((slot) => slot.span.text !== '');
  const name = displayName(snapshot.currentFile ?? snapshot.name);
  const room = Math.max(0, cells - INDENT.length - state.length - GAP.length);
  const minNameCells = Math.min(cellWidth(name), MIN_NAME_CELLS, room);
  const { kept, left } = keepWhatFits(slots, room - minNameCells);
  const start = [span(INDENT), span(state, isMoving(snapshot.state) ? 'plain' : 'alert')];
  return join(start, [...kept, span(fitCells(name, minNameCells + left))], cells);
}

/** A fact of a line. When room is short the one with the highest rank goes first. */
interface Slot {
  readonly span: ProgressSpan;
  readonly rank: number;
}

/** Leaves out facts until the rest fit, each behind a gap, and says how many cells are left over. */
function keepWhatFits(slots: readonly Slot[], room: number): { kept: ProgressSpan[]; left: number } {
  let kept = slots;
  const left = () => kept.reduce((rest, slot) => rest - GAP.length - cellWidth(slot.span.text), room);
  while (kept.length > 0 && left() < 0) {
    const last = Math.max(...kept.map((slot) => slot.rank));
    kept = kept.filter((slot) => slot.rank !== last);
  }
  return { kept: kept.map((slot) => slot.span), left: Math.max(0, left()) };
}

function join(start: readonly ProgressSpan[], rest: readonly ProgressSpan[], cells: number): ProgressSpan[] {
  const line = [...start, ...rest.flatMap((part) => [span(GAP), part])];
  const text = line.map((part) => part.text).join('');
  // Only a terminal too narrow for the parts that are never left out gets here.
  return cellWidth(text) <= cells ? line : [span(fitCells(text, cells))];
}

function span(text: string, tone: ProgressSpan['tone'] = 'plain'): ProgressSpan {
  return { text, tone };
}

/** Two shades: what has arrived where it is going, and behind it what is still on the way there. */
function bar(snapshot: ProgressSnapshot, totalBytes: number, cells: number): readonly ProgressSpan[] {
  const cellsOf = (bytes: number) =>
    totalBytes > 0 ? Math.min(cells, Math.floor((cells * bytes) / totalBytes)) : cells;
  const solid = cellsOf(arrivedBytes(snapshot));
  const shade = Math.max(0, cellsOf(count(snapshot.sentBytes)) - solid);
  return [
    span('▕', 'quiet'),
    span('█'.repeat(solid), 'accent'),
    span('▒'.repeat(shade), 'quiet'),
    span(`${' '.repeat(cells - solid - shade)}▏`, 'quiet'),
  ];
}

function movedBytes(snapshot: ProgressSnapshot): number {
  return count(snapshot.kind === 'send' ? snapshot.sentBytes : snapshot.receivedBytes);
}

function arrivedBytes(snapshot: ProgressSnapshot): number {
  return count(snapshot.kind === 'send' ? snapshot.safeBytes : snapshot.receivedBytes);
}

function count(value: number | undefined): number {
  return value !== undefined && value >= 0 && value < Number.POSITIVE_INFINITY ? value : 0;
}

/** Rounded down, and 100 only when the last byte has arrived: whoever reads 100 closes the lid. */
function percentText(snapshot: ProgressSnapshot): string {
  const { totalBytes } = snapshot;
  if (totalBytes === null) return '';
  if (arrivedBytes(snapshot) >= totalBytes) return '100%';
  return `${Math.min(99, Math.floor((100 * movedBytes(snapshot)) / totalBytes))}%`;
}

function amountText(snapshot: ProgressSnapshot): string {
  const moved = movedBytes(snapshot);
  return snapshot.totalBytes === null ? formatBytes(moved) : formatBytesOf(moved, snapshot.totalBytes);
}

function speed(snapshot: ProgressSnapshot): { rate: string; eta: string; stalled: boolean } {
  const { state, etaSeconds } = snapshot;
  const stalledSeconds = Math.floor(count(snapshot.stalledSeconds));
  if (stalledSeconds >= STALLED_FROM_SECONDS && (isMoving(state) || state === 'reconnecting')) {
    const age = stalledSeconds < 60 ? `${stalledSeconds} s` : formatDuration(stalledSeconds * 1000);
    return { rate: `stalled ${age}`, eta: '', stalled: true };
  }
  if (!isMoving(state)) return { rate: '', eta: '', stalled: false };
  const eta = etaSeconds === null ? '' : `ETA ${formatDuration(etaSeconds * 1000)}`;
  return { rate: formatRate(snapshot.bytesPerSecond), eta, stalled: false };
}

function safeText(snapshot: ProgressSnapshot): string {
  const known = snapshot.kind === 'send' && snapshot.safeBytes !== undefined;
  return known ? `safe ${formatBytes(arrivedBytes(snapshot))}` : '';
}

function stateText(snapshot: ProgressSnapshot, stateSeconds: number): string {
  const attempt = snapshot.state === 'reconnecting' ? count(snapshot.attempt) : 0;
  const age =
    isMoving(snapshot.state) || stateSeconds < AGE_FROM_SECONDS
      ? ''
      : ` ${formatDuration(stateSeconds * 1000)}`;
  return `${STATE_WORDS[snapshot.state]}${attempt > 0 ? ` (${attempt})` : ''}${age}`;
}

function filesText({ filesDone, filesTotal }: ProgressSnapshot): string {
  const done = count(filesDone);
  if (filesTotal === undefined) return filesDone === undefined ? '' : `${done} files`;
  return filesTotal > 1 ? `${done}/${filesTotal} files` : '';
}

function receiversText({ receivers }: ProgressSnapshot, length: 'long' | 'short'): string {
  if (receivers === undefined) return '';
  const label = length === 'long' ? 'receivers: ' : '';
  const none = receivers.live === 0 && receivers.done === 0;
  if (none) return length === 'long' ? 'receivers: none yet' : 'no receiver';
  return `${label}${receivers.live} live${receivers.done > 0 ? `, ${receivers.done} done` : ''}`;
}
