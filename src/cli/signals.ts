/**
 * Ctrl-C and its relatives.
 *
 * Responsible for: the first signal ends in order, the second at once.
 * Not responsible for: what "in order" is, and what is printed; each command brings that.
 */

/** The part of `process` used here. */
export interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}

export interface InterruptHandlers {
  /** The first signal: begin to stop. */
  stop(): void;
  /** A further one: end now. Leaves the terminal clean and does not return. */
  endAtOnce(): void;
}

/**
 * One Ctrl-C may arrive twice: a terminal signals the whole process group, and npx, or the launcher that hands over
 * to another Node, passes its own on as well. Nobody presses twice as fast as this.
 */
const SAME_PRESS_MS = 200;

/** Listens until the returned function is called. */
export function onInterrupt(
  handlers: InterruptHandlers,
  now: () => number,
  source: SignalSource = process,
): () => void {
  let firstMs: number | null = null;
  const handle = (): void => {
    if (firstMs === null) {
      firstMs = now();
      handlers.stop();
    } else if (now() - firstMs > SAME_PRESS_MS) {
      handlers.endAtOnce();
    }
  };
  source.on('SIGINT', handle);
  source.on('SIGTERM', handle);
  return () => {
    source.off('SIGINT', handle);
    source.off('SIGTERM', handle);
  };
}

/** Stopping in order asks the server and the disk; when they do not answer, we end anyway. */
const STOP_WITHIN_MS = 3000;
/** From here on the wait is explained. */
const EXPLAIN_AFTER_MS = 1000;

/** {@link onInterrupt} for a transfer: it is stopped in order, but not for ever. */
export function stopOnInterrupt(
  transfer: { stop(): Promise<void> },
  screen: { say(line: string): void; endAtOnce(): void },
  now: () => number,
  source: SignalSource = process,
): () => void {
  const timers: NodeJS.Timeout[] = [];
  const stop = (): void => {
    timers.push(
      setTimeout(() => screen.say('Stopping. Ctrl-C again ends at once.'), EXPLAIN_AFTER_MS),
      setTimeout(() => screen.endAtOnce(), STOP_WITHIN_MS),
    );
    // Whatever goes wrong in it, `done` tells.
    transfer.stop().catch(() => {});
  };
  const forget = onInterrupt({ stop, endAtOnce: () => screen.endAtOnce() }, now, source);
  return () => {
    forget();
    for (const timer of timers) clearTimeout(timer);
  };
}
