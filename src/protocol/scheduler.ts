/**
 * Who may send next: deficit round robin over three classes with weights 8:4:1, round robin between the streams of a
 * class. Control messages do not come here: they always go first. A class may overdraw by one message and then waits
 * until its deficit is positive again, so shares are exact in the long run for messages of any size.
 *
 * Source of the rule: M. Shreedhar, G. Varghese, "Efficient fair queuing using deficit round robin", 1995.
 */

export type Priority = 'interactive' | 'normal' | 'background';

const WEIGHTS: readonly (readonly [Priority, number])[] = [
  ['interactive', 8],
  ['normal', 4],
  ['background', 1],
];
const QUANTUM_BYTES = 64 * 1024;

interface Class {
  readonly quantumBytes: number;
  /** Streams with something to send, in their order of turns. */
  readonly ready: Set<number>;
  deficitBytes: number;
}

export class Scheduler {
  readonly #classes: ReadonlyMap<Priority, Class> = new Map(
    WEIGHTS.map(([priority, weight]) => [
      priority,
      { quantumBytes: weight * QUANTUM_BYTES, ready: new Set(), deficitBytes: 0 },
    ]),
  );
  readonly #priorities = new Map<number, Priority>();

  add(stream: number, priority: Priority): void {
    this.#priorities.set(stream, priority);
  }

  remove(stream: number): void {
    this.sleep(stream);
    this.#priorities.delete(stream);
  }

  /** The stream has something it may send. */
  wake(stream: number): void {
    this.#classOf(stream)?.ready.add(stream);
  }

  /** The stream has nothing to send, or no credit. */
  sleep(stream: number): void {
    this.#classOf(stream)?.ready.delete(stream);
  }

  /** The stream whose turn it is, or null when none is ready. */
  next(): number | null {
    const classes = [...this.#classes.values()];
    if (classes.every(({ ready }) => ready.size === 0)) return null;
    for (;;) {
      for (const { ready, deficitBytes } of classes) {
        if (deficitBytes > 0 && ready.size > 0) return ready.values().next().value ?? null;
      }
      for (const turn of classes) turn.deficitBytes = withQuantum(turn);
    }
  }

  /** Counts what the stream sent and puts it at the end of its class. */
  charge(stream: number, bytes: number): void {
    const turn = this.#classOf(stream);
    if (turn === undefined) return;
    turn.deficitBytes -= bytes;
    if (turn.ready.delete(stream)) turn.ready.add(stream);
  }

  #classOf(stream: number): Class | undefined {
    const priority = this.#priorities.get(stream);
    return priority === undefined ? undefined : this.#classes.get(priority);
  }
}

/** A class without anything to send saves nothing up, but works off its debt: else a short sleep would clear it. */
function withQuantum({ ready, deficitBytes, quantumBytes }: Class): number {
  const next = deficitBytes + quantumBytes;
  return ready.size > 0 ? next : Math.min(0, next);
}
