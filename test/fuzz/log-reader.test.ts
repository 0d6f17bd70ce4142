// A receiver fed with a damaged or forged log: it reads a true prefix, asks to go back, or ends with a documented error.
import fc from 'fast-check';
import { expect } from 'vitest';
import { finishRecord, LogReader, recordsIn, SluiceError } from '../../src/protocol/index.ts';
import { digester } from '../support/digester.ts';
import { joined, logOfAllKinds, RECORD_SIZE, startOfLog } from '../support/log-fixtures.ts';
import { fuzz, mutate, mutations, tryDecode } from './fuzz.ts';

const records = logOfAllKinds();
const log = joined(records);
const CODES = [
  'protocol',
  'unsupported',
  'tooLarge',
  'limit',
  'sealed',
  'integrity',
  'digestMismatch',
] as const;

const newReader = () =>
  new LogReader(startOfLog(), RECORD_SIZE, digester, () => {
    throw new SluiceError('unsupported');
  });

fuzz('LogReader.read: a changed log gives a prefix of the true one', mutations, (changes) => {
  const reader = newReader();
  const chunk = mutate(log, changes);
  const result = tryDecode(CODES, () => reader.read(chunk));
  if (result === null) return;
  expect(result.records.reduce((sum, { bytes }) => sum + bytes, 0) + result.droppedBytes).toBe(chunk.length);
  const { position, index } = reader.state;
  expect(chunk.subarray(0, position)).toEqual(log.subarray(0, position));
  expect(result.damagedIndex).toBe(result.droppedBytes > 0 ? index : null);
});

fuzz(
  'LogReader.read: a log forged with right digests breaks no more than its own transfer',
  fc.array(fc.record({ record: fc.nat(records.length - 1), changes: mutations }), { maxLength: 10 }),
  (forged) => {
    const reader = newReader();
    for (const { record, changes } of forged) {
      const bytes = mutate(records[record]!, changes);
      if (bytes.length < 96) continue;
      // The digest fits the changed record, as a hostile sender would make it.
      new DataView(bytes.buffer).setUint32(32, bytes.length - 96);
      finishRecord(bytes, digester);
      if (tryDecode(CODES, () => reader.read(bytes)) === null) return;
    }
  },
);

fuzz(
  'LogReader.read: with repairs any damage heals',
  fc.array(fc.record({ at: fc.nat(), bit: fc.nat(7) }), { maxLength: 7 }),
  (flips) => {
    const reader = newReader();
    const left = [...flips];
    // The sender goes back to what was asked for; each transmission is damaged by the next flip.
    for (let from = 0; !reader.state.isSealed; from = reader.state.index) {
      const chunk = joined(records.slice(from));
      const flip = left.shift();
      if (flip !== undefined) chunk[flip.at % chunk.length]! ^= 1 << flip.bit;
      const { damagedIndex } = reader.read(chunk);
      if (damagedIndex !== null) expect(damagedIndex).toBe(reader.state.index);
    }
    expect(reader.state.position).toBe(recordsIn(log).reduce((sum, { bytes }) => sum + bytes.length, 0));
  },
);
