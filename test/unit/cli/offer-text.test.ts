import { describe, expect, test } from 'vitest';
import { offerLines } from '../../../src/cli/offer-text.ts';
import { cellWidth } from '../../../src/cli/terminal-width.ts';
import { SAMPLE_OFFER } from '../../support/cli-fakes.ts';

describe('what a receiver is shown', () => {
  test('names, sizes, and that it is not encrypted', () => {
    expect(offerLines(SAMPLE_OFFER, 1e9, 80)).toEqual([
      'holiday: 2 files, 3.00 kB, still being sent',
      '  holiday/a.jpg  1.00 kB',
      '  holiday/b.jpg  2.00 kB',
      'Not end-to-end encrypted yet: the server can read it.',
    ]);
  });

  test('at most ten names, then how many more', () => {
    const files = Array.from({ length: 50 }, (_, number) => ({
      path: [`${number}`],
      type: 'file' as const,
      sizeBytes: 1,
    }));
    const lines = offerLines({ ...SAMPLE_OFFER, files, totalFiles: 222 }, null, 80);
    expect(lines.filter((line) => /^ {2}\d/.test(line)).length).toBe(10);
    expect(lines).toContain('  … 212 more');
    expect(offerLines({ ...SAMPLE_OFFER, files, totalFiles: null }, null, 80)).toContain(
      '  … 40 more so far',
    );
  });

  test('a stream whose size nobody knows', () => {
    const files = [{ path: ['site.tar'], type: 'file' as const, sizeBytes: null }];
    const offer = { ...SAMPLE_OFFER, name: null, totalFiles: null, totalBytes: null, files };
    expect(offerLines(offer, 1, 80).slice(0, 2)).toEqual([
      'size not known yet, still being sent',
      '  site.tar',
    ]);
  });

  test('a warning when the disk is too small', () => {
    expect(offerLines(SAMPLE_OFFER, 2999, 80).at(-1)).toBe(
      'Warning: it needs 3.00 kB, and only 3.00 kB are free.',
    );
    expect(offerLines(SAMPLE_OFFER, 1000, 80).at(-1)).toBe(
      'Warning: it needs 3.00 kB, and only 1.00 kB are free.',
    );
    expect(offerLines(SAMPLE_OFFER, 3000, 80).join('\n')).not.toContain('Warning');
  });

  test('nothing of the peer acts on the terminal or passes for a line of ours', () => {
    const offer = {
      ...SAMPLE_OFFER,
      name: 'a\nAccept? \x1b[2J',
      message: 'hello\nSave to / (1 TB free)? [Y/n] y\x1b[1A',
      files: [{ path: ['a\u202egpj.exe', 'x\ny'], type: 'file' as const, sizeBytes: 1 }],
    };
    const lines = offerLines(offer, null, 80);
    expect(lines.join('')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(lines[2]).toMatch(/^ {2}\| Save to/);
  });

  test('long and wide names keep to the width', () => {
    const files = [
      { path: ['照片'.repeat(60), 'b.jpg'], type: 'file' as const, sizeBytes: 123 },
      { path: ['c'], type: 'file' as const, sizeBytes: 999_000_000 },
    ];
    for (const columns of [80, 50]) {
      for (const line of offerLines({ ...SAMPLE_OFFER, isEncrypted: true, files }, null, columns)) {
        expect(cellWidth(line)).toBeLessThan(columns);
      }
    }
  });
});
