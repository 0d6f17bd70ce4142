/** Who takes part in a scenario, as it is put together: contestants, peers that are missing, servers to end. */
import type { Contest, Contestant, Run, Skipped } from './contest.ts';

export class Roster implements AsyncDisposable {
  readonly #servers = new AsyncDisposableStack();
  readonly #contestants: Contestant[] = [];
  readonly #skipped: Skipped[] = [];
  #reference: string | null = null;

  /** A server of this scenario, ended with it. */
  use<T extends AsyncDisposable>(server: T): T {
    return this.#servers.use(server);
  }

  ours(name: string, clock: Contestant['clock'], run: () => Promise<Run>): void {
    this.#contestants.push({ name, kind: 'sluice', clock, run });
  }

  peer(name: string, clock: Contestant['clock'], run: () => Promise<Run>): void {
    this.#contestants.push({ name, kind: 'peer', clock, run });
  }

  /** The peer that all others are compared with. */
  reference(name: string, clock: Contestant['clock'], run: () => Promise<Run>): void {
    this.#reference = name;
    this.peer(name, clock, run);
  }

  skip(name: string, reason: string): void {
    this.#skipped.push({ name, reason });
  }

  finish(unit: Contest['unit']): Contest {
    const servers = this.#servers.move();
    return {
      unit,
      reference: this.#reference,
      contestants: this.#contestants,
      skipped: this.#skipped,
      [Symbol.asyncDispose]: () => servers.disposeAsync(),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#servers.disposeAsync();
  }
}
