/**
 * Events of a transfer for any number of listeners and async iterators. An iterator that is not read keeps only the
 * newest progress and the last 10,000 other events: its worst-case memory.
 */

const MAX_WAITING_EVENTS = 10_000;

export class EventFeed<E extends { readonly type: string }> {
  readonly #listeners = new Set<(event: E) => void>();
  readonly #iterators = new Set<IteratorQueue<E>>();
  /** How it ended; null while it goes on. */
  #end: { readonly error: Error | null } | null = null;

  on(listener: (event: E) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Tells everybody. After the end nobody hears of anything. */
  emit(event: E): void {
    if (this.#end !== null) return;
    for (const listener of [...this.#listeners]) listener(event);
    for (const queue of this.#iterators) queue.push(event);
  }

  /** No more events: iterators end, with the error if there is one. Those that begin later end the same way. */
  end(error: Error | null = null): void {
    this.#end ??= { error };
    for (const queue of this.#iterators) queue.end(error);
    this.#iterators.clear();
  }

  iterate(): AsyncIterator<E> {
    const queue = new IteratorQueue<E>(() => this.#iterators.delete(queue));
    if (this.#end !== null) queue.end(this.#end.error);
    else this.#iterators.add(queue);
    return queue;
  }
}

class IteratorQueue<E extends { readonly type: string }> implements AsyncIterator<E> {
  readonly #onReturn: () => void;
  #events: E[] = [];
  /** Reads that wait; each looks again when anything happens. */
  #waiting: (() => void)[] = [];
  #isEnded = false;
  #error: Error | null = null;

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(event: E): void {
    if (event.type === 'progress' && this.#events.at(-1)?.type === 'progress') this.#events.pop();
    if (this.#events.length >= MAX_WAITING_EVENTS) this.#events.shift();
    this.#events.push(event);
    this.#wake();
  }

  end(error: Error | null): void {
    this.#isEnded = true;
    this.#error = error;
    this.#wake();
  }

  async next(): Promise<IteratorResult<E>> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) return { done: false, value: event };
      if (this.#error !== null) {
        const error = this.#error;
        this.#error = null;
        throw error;
      }
      if (this.#isEnded) return { done: true, value: undefined };
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  return(): Promise<IteratorResult<E>> {
    this.#onReturn();
    this.#isEnded = true;
    this.#events = [];
    this.#error = null;
    this.#wake();
    return Promise.resolve({ done: true, value: undefined });
  }

  #wake(): void {
    for (const look of this.#waiting.splice(0)) look();
  }
}
