/** A set of file numbers: one bit each, 125 KB for a million files. */
export class FileSet {
  #bits = new Uint8Array(64);

  has(file: number): boolean {
    return ((this.#bits[Math.floor(file / 8)] ?? 0) & (1 << (file % 8))) !== 0;
  }

  add(file: number): void {
    const at = Math.floor(file / 8);
    if (at >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(at + 1, this.#bits.length * 2));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (file % 8));
  }
}
