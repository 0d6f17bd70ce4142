/** Restores compressed bodies with the zlib of Node. Never inflates beyond the declared length. */
import { inflateRawSync, zstdDecompressSync } from 'node:zlib';
import { type Inflate, SluiceError } from '../protocol/index.ts';

/** @throws SluiceError `protocol` when the body is malformed or longer than declared. */
export const inflateBody: Inflate = (codec, body, plainLength) => {
  // One byte more than declared is enough to see that a body is too long; a bomb gets no further.
  const options = { maxOutputLength: plainLength + 1 };
  try {
    return codec === 'zstd' ? zstdDecompressSync(body, options) : inflateRawSync(body, options);
  } catch (cause) {
    throw new SluiceError('protocol', 'A compressed record cannot be restored.', { cause });
  }
};
