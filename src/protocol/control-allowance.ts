/** How much control a peer may send: a token bucket over characters, so that talk can never crowd out work. */
import { CONTROL_BURST_CHARS, CONTROL_CHARS_PER_SECOND } from './limits.ts';

/** What a message costs beyond its characters, so that many tiny ones are not free. */
const MESSAGE_COST_CHARS = 64;

export class ControlAllowance {
  #available: number = CONTROL_BURST_CHARS;
  #at: number;

  constructor(now: number) {
    this.#at = now;
  }

  /** False when the peer has used up what it may send. */
  take(chars: number, now: number): boolean {
    const refill = ((now - this.#at) / 1000) * CONTROL_CHARS_PER_SECOND;
    this.#available =
      Math.min(CONTROL_BURST_CHARS, this.#available + Math.max(0, refill)) - chars - MESSAGE_COST_CHARS;
    this.#at = now;
    return this.#available >= 0;
  }
}
