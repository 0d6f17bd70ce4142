/**
 * The one progress display of `send` and `receive`: two calm lines on a terminal, or a plain line now and then.
 *
 * Responsible for: when something is drawn, where the cursor is, colour, and leaving the terminal as it was.
 * Not responsible for: what the lines say (progress-lines.ts), nor for the result, which the command prints after
 * `close`. It starts nothing by itself: writing, time and the size of the terminal are given to it.
 *
 * On a terminal the cursor rests at the start of the first line. When the window gets narrower the terminal breaks
 * long lines anew, and how is its own affair; but the cursor stays with its text, so that "erase from the cursor
 * down" removes the display whatever became of it. While lines are written wrapping is off, because terminals
 * disagree with us about the width of some emoji. The cursor is never hidden, so nothing needs restoring.
 */
import { styleText } from 'node:util';
import { displayName } from '../protocol/display-name.ts';
import {
  type ProgressSnapshot,
  type ProgressSpan,
  type ProgressState,
  plainProgress,
  progressLines,
} from './progress-lines.ts';

/** Time for the display. `now` in ms, never going back. Its timers need not keep the process alive. */
export interface ProgressClock<Timer> {
  now(): number;
  setTimer(callback: () => void, delayMs: number): Timer;
  clearTimer(timer: Timer): void;
}

/** What the display draws on. */
export interface ProgressDisplayOptions<Timer> {
  /** Takes text for the terminal or the log, whole frames and whole lines. */
  write(text: string): void;
  /** Columns of the terminal now; 80 is assumed when this is no number from 1. Not called without a terminal. */
  columns(): number | undefined;
  /** Whether `write` goes to a terminal. */
  readonly isTty: boolean;
  /** The environment: NO_COLOR, FORCE_COLOR, CI and TERM are looked at. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: ProgressClock<Timer>;
}

/** A running display. Order of calls: `update` and `note` as often as wanted, then `close` once. */
export interface ProgressDisplay {
  /** Shows a new snapshot, at most ten times a second; of what comes in between only the last is drawn. */
  update(snapshot: ProgressSnapshot): void;
  /** Prints one line that stays, above the display. It goes through displayName; a long one wraps. */
  note(line: string): void;
  /** Draws again at the present width. For the terminal's resize event; without it a second may pass. */
  redraw(): void;
  /** Erases the display and stops all timers. Afterwards `update` does nothing and `note` still prints. */
  close(): void;
}

/** Makes the display that suits the surroundings: live on a capable terminal, plain with CI, TERM=dumb or no terminal. */
export function createProgressDisplay<Timer>(options: ProgressDisplayOptions<Timer>): ProgressDisplay {
  const { TERM: terminal, CI: automation } = options.environment;
  const live = options.isTty && terminal !== 'dumb' && !isOn(automation);
  return live ? new LiveDisplay(options) : new PlainDisplay(options);
}

/** Ten redraws a second. */
const REDRAW_EVERY_MS = 100;
/** Ages in the lines count seconds, and a resize may have gone unnoticed. */
const REFRESH_EVERY_MS = 1000;
/** A state that is over sooner is not worth a word. */
const SETTLES_AFTER_MS = 1000;
const PLAIN_LINE_EVERY_MS = 10_000;

const ERASE_DOWN = '\x1b[J';
const ERASE_LINE_END = '\x1b[K';
const UP = '\x1b[A';
const WRAP_OFF = '\x1b[?7l';
const WRAP_ON = '\x1b[?7h';

class LiveDisplay<Timer> implements ProgressDisplay {
  readonly #options: ProgressDisplayOptions<Timer>;
  readonly #colour: boolean;
  readonly #alarm: Alarm<Timer>;
  readonly #state = new SettledState();
  #latest: ProgressSnapshot | undefined;
  #closed = false;
  #visible = false;
  #frame = '';
  #frameColumns = 0;
  #drawnMs = Number.NEGATIVE_INFINITY;

  constructor(options: ProgressDisplayOptions<Timer>) {
    this.#options = options;
    this.#colour = wantsColour(options.environment);
    this.#alarm = new Alarm(options.clock, () => this.#draw());
  }

  update(snapshot: ProgressSnapshot): void {
    if (this.#closed) return;
    this.#latest = snapshot;
    // Trouble has to last to be named, but its end is good news and shown at once.
    const flows = snapshot.state === 'sending' || snapshot.state === 'receiving';
    this.#state.take(snapshot.state, this.#options.clock.now(), flows ? 0 : SETTLES_AFTER_MS);
    this.#drawWhenAllowed();
  }

  note(line: string): void {
    this.#options.write(`${this.#erase()}${displayName(line)}\r\n`);
    if (!this.#closed) this.#drawWhenAllowed();
  }

  redraw(): void {
    if (!this.#closed) this.#drawWhenAllowed();
  }

  close(): void {
    this.#closed = true;
    this.#alarm.stop();
    const erase = this.#erase();
    if (erase !== '') this.#options.write(erase);
  }

  #drawWhenAllowed(): void {
    const allowedMs = this.#drawnMs + REDRAW_EVERY_MS;
    if (this.#options.clock.now() >= allowedMs) this.#draw();
    else this.#alarm.at(allowedMs);
  }

  #draw(): void {
    if (this.#latest === undefined) return;
    const nowMs = this.#options.clock.now();
    this.#state.settle(nowMs);
    const columns = this.#columns();
    // The last column stays free: some terminals break the line as soon as it is filled.
    const lines = progressLines(...this.#state.apply(this.#latest, nowMs), columns - 1);
    const [first, second] = lines.map((line) => line.map((part) => this.#paint(part)).join(''));
    const frame = `${first}${ERASE_LINE_END}\r\n${second}${ERASE_DOWN}`;
    if (!this.#visible || frame !== this.#frame || columns !== this.#frameColumns) {
      // Old text is written over rather than erased first, which does not flicker.
      this.#options.write(`\r${WRAP_OFF}${frame}${WRAP_ON}\r${UP}`);
      this.#visible = true;
      this.#frame = frame;
      this.#frameColumns = columns;
      this.#drawnMs = nowMs;
    }
    this.#alarm.stop();
    this.#alarm.at(
      Math.min(nowMs + REFRESH_EVERY_MS, Math.max(this.#state.settlesMs, nowMs + REDRAW_EVERY_MS)),
    );
  }

  #erase(): string {
    if (!this.#visible) return '';
    this.#visible = false;
    return `\r${ERASE_DOWN}`;
  }

  #columns(): number {
    const columns = this.#options.columns();
    return columns !== undefined && columns >= 1 ? Math.floor(columns) : 80;
  }

  #paint({ text, tone }: ProgressSpan): string {
    if (!this.#colour || tone === 'plain' || text.trim() === '') return text;
    return styleText(TONE_STYLES[tone], text, { validateStream: false });
  }
}

class PlainDisplay<Timer> implements ProgressDisplay {
  readonly #options: ProgressDisplayOptions<Timer>;
  readonly #alarm: Alarm<Timer>;
  readonly #state = new SettledState();
  #latest: ProgressSnapshot | undefined;
  #closed = false;
  #nextLineMs: number | undefined;

  constructor(options: ProgressDisplayOptions<Timer>) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock, () => this.#wake());
  }

  update(snapshot: ProgressSnapshot): void {
    if (this.#closed) return;
    const nowMs = this.#options.clock.now();
    this.#latest = snapshot;
    this.#nextLineMs ??= nowMs + PLAIN_LINE_EVERY_MS;
    this.#state.take(snapshot.state, nowMs, SETTLES_AFTER_MS);
    this.#alarm.at(Math.min(this.#state.settlesMs, this.#nextLineMs));
  }

  note(line: string): void {
    this.#options.write(`${displayName(line)}\n`);
  }

  redraw(): void {}

  close(): void {
    this.#closed = true;
    this.#alarm.stop();
  }

  #wake(): void {
    if (this.#latest === undefined || this.#nextLineMs === undefined) return;
    const nowMs = this.#options.clock.now();
    const changed = this.#state.settle(nowMs);
    if (changed || nowMs >= this.#nextLineMs) {
      this.#options.write(`${plainProgress(...this.#state.apply(this.#latest, nowMs))}\n`);
      this.#nextLineMs = nowMs + PLAIN_LINE_EVERY_MS;
    }
    this.#alarm.at(Math.min(this.#state.settlesMs, this.#nextLineMs));
  }
}

/** The state worth naming: one that has lasted, so that a short interruption does not make the words jump. */
class SettledState {
  #named: ProgressState | undefined;
  #namedSinceMs = 0;
  #present: ProgressState | undefined;
  #presentSinceMs = 0;
  /** When the present state becomes worth naming; infinite when it is the one named. */
  settlesMs: number = Number.POSITIVE_INFINITY;

  take(state: ProgressState, nowMs: number, afterMs: number): void {
    if (state === this.#present) return;
    this.#present = state;
    this.#presentSinceMs = nowMs;
    this.settlesMs = state === this.#named ? Number.POSITIVE_INFINITY : nowMs + afterMs;
  }

  /** Names the present state if its time has come, and says whether the name has changed. */
  settle(nowMs: number): boolean {
    if (nowMs < this.settlesMs) return false;
    this.#named = this.#present;
    this.#namedSinceMs = this.#presentSinceMs;
    this.settlesMs = Number.POSITIVE_INFINITY;
    return true;
  }

  /** The snapshot under the named state, and the seconds since that began. Before any is named, the present one. */
  apply(snapshot: ProgressSnapshot, nowMs: number): [ProgressSnapshot, number] {
    if (this.#named === undefined) return [snapshot, (nowMs - this.#presentSinceMs) / 1000];
    return [{ ...snapshot, state: this.#named }, (nowMs - this.#namedSinceMs) / 1000];
  }
}

/** One timer, set to the earliest time asked for. */
class Alarm<Timer> {
  readonly #clock: ProgressClock<Timer>;
  readonly #ring: () => void;
  #timer: { readonly handle: Timer; readonly dueMs: number } | undefined;

  constructor(clock: ProgressClock<Timer>, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  at(dueMs: number): void {
    if (this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    this.stop();
    const ring = () => {
      this.#timer = undefined;
      this.#ring();
    };
    this.#timer = { handle: this.#clock.setTimer(ring, Math.max(0, dueMs - this.#clock.now())), dueMs };
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer.handle);
    this.#timer = undefined;
  }
}

const TONE_STYLES = { quiet: 'dim', accent: 'green', alert: 'yellow' } as const;

/** FORCE_COLOR decides where both are set, as in Node itself; otherwise a NO_COLOR that is not empty. */
function wantsColour(environment: ProgressDisplayOptions<never>['environment']): boolean {
  const { FORCE_COLOR: force, NO_COLOR: no } = environment;
  return force === undefined ? no === undefined || no === '' : force !== '0' && force !== 'false';
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false';
}
