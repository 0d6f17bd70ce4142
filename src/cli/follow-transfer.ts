/** What `send` and `receive` do alike while a transfer runs: show, listen, heed Ctrl-C, and clean up at the end. */
import { stopOnInterrupt } from './signals.ts';
import type { TransferOutput } from './transfer-output.ts';

/** A connection that takes longer than this is shown, ms. */
const SHOW_CONNECTING_AFTER_MS = 500;

interface RunningTransfer<E, S> {
  readonly done: Promise<S>;
  on(listener: (event: E) => void): () => void;
  stop(): Promise<void>;
}

export interface FollowOptions<E> {
  readonly output: TransferOutput;
  readonly now: () => number;
  onEvent(event: E): void;
  /** Ctrl-C came again: ends the process. */
  endAtOnce(): void;
}

/** Resolves or rejects as the transfer does, when nothing of it is on the screen any more. */
export async function followTransfer<E extends { readonly type: string }, S>(
  transfer: RunningTransfer<E, S>,
  { output, now, onEvent, endAtOnce }: FollowOptions<E>,
): Promise<S> {
  const connecting = setTimeout(() => output.start(), SHOW_CONNECTING_AFTER_MS);
  const forget = transfer.on((event) => {
    // From here on a question may stand on the screen; its answer brings the display.
    if (event.type === 'offer') clearTimeout(connecting);
    onEvent(event);
  });
  const stopListening = stopOnInterrupt(transfer, { say: (line) => output.say(line), endAtOnce }, now);
  try {
    return await transfer.done;
  } finally {
    clearTimeout(connecting);
    // Closing its streams may still cause events; the result has been told by then.
    forget();
    stopListening();
    output.stop();
  }
}
