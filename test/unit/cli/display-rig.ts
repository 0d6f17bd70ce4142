/** A display on a model of a terminal, with a fake clock and everything it wrote. */
import { createProgressDisplay, type ProgressClock } from '../../../src/cli/progress-display.ts';
import type { ProgressSnapshot, ProgressState } from '../../../src/cli/progress-lines.ts';
import { cellWidth } from '../../../src/cli/terminal-width.ts';
import { type ResizeStyle, TerminalScreen } from './terminal-screen.ts';

export const ESC = '\x1b';

export class FakeClock implements ProgressClock<number> {
  #nowMs = 1000;
  #next = 1;
  readonly #timers = new Map<number, { dueMs: number; callback: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  setTimer(callback: () => void, delayMs: number): number {
    this.#timers.set(this.#next, { dueMs: this.#nowMs + delayMs, callback });
    return this.#next++;
  }

  clearTimer(timer: number): void {
    this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  advance(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      const [id, timer] = [...this.#timers].sort((a, b) => a[1].dueMs - b[1].dueMs)[0] ?? [];
      if (id === undefined || timer === undefined || timer.dueMs > endMs) break;
      this.#timers.delete(id);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
    }
    this.#nowMs = endMs;
  }
}

export const base: ProgressSnapshot = {
  kind: 'send',
  state: 'sending',
  name: 'holiday',
  sentBytes: 1.73e9,
  safeBytes: 1.2e9,
  totalBytes: 3.2e9,
  bytesPerSecond: 38.2e6,
  etaSeconds: 39,
  currentFile: 'IMG_2041.MOV',
  receivers: { live: 3, done: 1 },
};
export const sent = (sentBytes: number): ProgressSnapshot => ({ ...base, sentBytes });
export const inState = (state: ProgressState): ProgressSnapshot => ({ ...base, state });

export function setUp({
  columns = 80,
  isTty = true,
  environment = {} as Record<string, string>,
  widthOf = cellWidth,
} = {}) {
  const clock = new FakeClock();
  const screen = new TerminalScreen(columns, widthOf);
  const writes: { atMs: number; text: string }[] = [];
  const surroundings = { columns: columns as number | undefined };
  screen.write('$ sluice send holiday\r\n');
  const display = createProgressDisplay({
    write: (text) => {
      writes.push({ atMs: clock.now(), text });
      screen.write(isTty ? text : text.replaceAll('\n', '\r\n'));
    },
    columns: () => surroundings.columns,
    isTty,
    environment: { NO_COLOR: '1', ...environment },
    clock,
  });
  const resize = (to: number, style: ResizeStyle) => {
    surroundings.columns = to;
    screen.resize(to, style);
  };
  return { clock, screen, writes, display, resize, surroundings };
}
