/**
 * Is the peer alive? Any byte is life; after a silence it is asked, after a longer one it is dead (SPEC 7). A silence
 * that our own sleeping event loop explains is told apart. Pure: it only says what to do.
 */
import type { Heartbeat } from './control-message.ts';
import { LOOP_STALL_MS } from './limits.ts';

export class PeerWatch {
  readonly heartbeat: Heartbeat;
  #heardAt: number;
  #pingId = 0;
  #pingSentAt: number | null = null;

  constructor(heartbeat: Heartbeat, now: number) {
    this.heartbeat = heartbeat;
    this.#heardAt = now;
  }

  handleActivity(now: number): void {
    this.#heardAt = now;
  }

  /** What the time asks for: nothing, a ping with this id, or the end after so much silence (ms). */
  handleTimeout(now: number): { ping: number } | { silentMs: number } | null {
    const { pingAfterMs, deadAfterMs } = this.heartbeat;
    const silentMs = now - this.#heardAt;
    const wasAsked = this.#pingSentAt !== null;
    if (silentMs >= deadAfterMs + LOOP_STALL_MS || (silentMs >= deadAfterMs && !wasAsked)) {
      // SPEC 7.2: so late means that we slept, not the peer. Ask again and give it the time between ping and death.
      this.#heardAt = now - pingAfterMs;
      this.#pingSentAt = null;
    } else if (silentMs >= deadAfterMs) {
      return { silentMs };
    }
    if (now - this.#heardAt < pingAfterMs || this.#pingSentAt !== null) return null;
    this.#pingId += 1;
    this.#pingSentAt = now;
    return { ping: this.#pingId };
  }

  /** The round trip of the ping this answers, ms; null when it answers none that waits. */
  handlePong(id: number, now: number): number | null {
    if (this.#pingSentAt === null || id !== this.#pingId) return null;
    const rttMs = now - this.#pingSentAt;
    this.#pingSentAt = null;
    return rttMs;
  }

  /** When `handleTimeout` has something to say. */
  pollTimeout(): number {
    const { pingAfterMs, deadAfterMs } = this.heartbeat;
    return this.#heardAt + (this.#pingSentAt === null ? Math.min(pingAfterMs, deadAfterMs) : deadAfterMs);
  }
}
