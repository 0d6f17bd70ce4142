/** Big-endian integers, checked: a count above 2^53-1 is a protocol error, and no 32-bit operator touches a u64. */
import { SluiceError } from './sluice-error.ts';

const TWO_32 = 0x1_0000_0000;
const MAX_HIGH_WORD = 0x1f_ffff;

/** Writes a u64; `value` must be a safe integer of at least 0 (a local mistake otherwise: RangeError). */
export function writeU64(view: DataView, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a u64 we can write: ${value}`);
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value % TWO_32);
}

/** Reads a u64. @throws SluiceError `protocol` above 2^53-1 (SPEC 3.2). */
export function readU64(view: DataView, at: number): number {
  const high = view.getUint32(at);
  if (high > MAX_HIGH_WORD) throw new SluiceError('protocol', 'A counter is above 2^53-1.');
  return high * TWO_32 + view.getUint32(at + 4);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Not for secrets: stops at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
