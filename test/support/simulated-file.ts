// One file on a disk that may lose power: what the operating system shows (volatile) and what is on the platter
// (stable), in sectors. A sector is written whole or not at all; those that were not synced survive by chance.
import type { Random } from './random.ts';

export const SECTOR_BYTES = 512;

export class SimulatedFile {
  #volatile = new Uint8Array(0);
  #volatileLength = 0;
  #stable = new Uint8Array(0);
  #stableLength = 0;
  /** Sectors the operating system still has to write. */
  #dirty = new Set<number>();
  /** Sectors that a sync under way is writing. */
  readonly #syncing = new Set<number>();

  get length(): number {
    return this.#volatileLength;
  }

  write(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    this.#volatile = grownTo(this.#volatile, end);
    this.#volatile.set(bytes, position);
    this.#volatileLength = Math.max(this.#volatileLength, end);
    for (let sector = Math.floor(position / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      this.#dirty.add(sector);
    }
  }

  read(position: number, length: number): Uint8Array {
    return this.#volatile.slice(position, Math.min(position + Math.max(0, length), this.#volatileLength));
  }

  /** Durable at once. */
  truncate(length: number): void {
    if (length >= this.#volatileLength) return;
    this.#volatile.fill(0, length);
    this.#stable.fill(0, length);
    this.#volatileLength = length;
    this.#stableLength = Math.min(this.#stableLength, length);
  }

  flipBit(position: number, bit: number): void {
    for (const layer of [this.#volatile, this.#stable]) {
      if (position < layer.length) layer[position] = (layer[position] as number) ^ (1 << bit);
    }
  }

  /** Begins a sync; the returned function ends it. A failed one leaves sectors clean that were never written. */
  beginSync(random: Random): (isOk: boolean) => void {
    const sectors = [...this.#dirty];
    const length = this.#volatileLength;
    this.#dirty.clear();
    for (const sector of sectors) this.#syncing.add(sector);
    return (isOk) => {
      for (const sector of sectors) {
        this.#syncing.delete(sector);
        if (isOk || random.chance(0.3)) this.#makeStable(sector);
      }
      if (isOk) this.#stableLength = Math.max(this.#stableLength, Math.min(length, this.#volatileLength));
    };
  }

  /** Power loss. */
  crash(random: Random): void {
    const grown = this.#volatileLength - this.#stableLength;
    if (grown > 0 && random.chance(0.8)) this.#stableLength += random.below(grown + 1);
    const survival = random.fraction();
    for (const sector of [...this.#dirty, ...this.#syncing]) {
      if (random.chance(survival)) this.#makeStable(sector);
    }
    this.#dirty = new Set();
    this.#syncing.clear();
    // What was never written reads as zeros, up to whatever length the file system kept.
    this.#stable = grownTo(this.#stable, this.#stableLength);
    this.#stable.fill(0, this.#stableLength);
    this.#volatile = this.#stable.slice();
    this.#volatileLength = this.#stableLength;
  }

  #makeStable(sector: number): void {
    const start = sector * SECTOR_BYTES;
    const end = Math.min(start + SECTOR_BYTES, this.#volatileLength);
    if (end <= start) return;
    this.#stable = grownTo(this.#stable, end);
    this.#stable.set(this.#volatile.subarray(start, end), start);
  }
}

function grownTo(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  if (length <= bytes.length) return bytes;
  const larger = new Uint8Array(Math.max(length, bytes.length * 2));
  larger.set(bytes);
  return larger;
}
