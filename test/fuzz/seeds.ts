// Seeds that once found something, kept for ever. When a fuzz test fails, fast-check prints `seed` and `path`:
// fix the bug, then add them here under the name of the test.

export interface KeptSeed {
  readonly seed: number;
  /** From fast-check's report; leads straight to the failing input. */
  readonly path?: string;
}

export const KEPT_SEEDS: Readonly<Record<string, readonly KeptSeed[]>> = {};
