// Names from a peer: what is refused where, which names are one file, and the next free name.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkPath,
  collisionKey,
  keepBothName,
  type SafePathPlatform,
  type SafePathProblem,
  safePathOn,
} from '../../../src/protocol/safe-path.ts';

const platforms: readonly SafePathPlatform[] = ['posix', 'windows', 'macos'];
const utf8 = new TextEncoder();
const byteLength = (text: string) => utf8.encode(text).length;
const refused = (reason: SafePathProblem) => ({ ok: false, reason });
const accepted = { ok: true };

/** Every code point that has a UTF-8 form. */
function* codePoints(): Generator<string> {
  for (let point = 0; point <= 0x10ffff; point += 1) {
    if (point < 0xd800 || point > 0xdfff) yield String.fromCodePoint(point);
  }
}

const hostileUnits = [
  '.',
  '/',
  '\\',
  ':',
  ' ',
  '\0',
  '\n',
  '\u0085',
  '\ud800',
  '\udc00',
  'a',
  'é',
  '😀',
  'CON',
  'NUL',
];
const hostileComponent = fc
  .array(fc.oneof(fc.constantFrom(...hostileUnits), fc.string({ unit: 'binary', maxLength: 3 })), {
    maxLength: 8,
  })
  .map((parts) => parts.join(''));
const hostilePath = fc.array(hostileComponent, { maxLength: 6 });

describe('checkPath', () => {
  test.each<[string, readonly string[], SafePathProblem]>([
    ['no component', [], 'empty-path'],
    ['an empty name', [''], 'empty-component'],
    ['the list form of /etc', ['', 'etc'], 'empty-component'],
    ['the list form of a/', ['a', ''], 'empty-component'],
    ['here', ['.'], 'dot-component'],
    ['up', ['a', '..', 'b'], 'dot-component'],
    ['a separator', ['a/b'], 'separator'],
    ['an absolute path in one component', ['/etc/passwd'], 'separator'],
    ['up inside one component', ['../x'], 'separator'],
    ['NUL', ['a\0.txt'], 'control-character'],
    ['a line break', ['a\nb'], 'control-character'],
    ['ESC', ['\x1b[2J'], 'control-character'],
    ['DEL', ['a\x7f'], 'control-character'],
    ['C1', ['a\x9b31m'], 'control-character'],
    ['a high surrogate alone', ['a\ud83d'], 'lone-surrogate'],
    ['a low surrogate alone', ['\ude00a'], 'lone-surrogate'],
    ['surrogates in the wrong order', ['\ude00\ud83d'], 'lone-surrogate'],
    ['256 bytes', ['a'.repeat(256)], 'component-too-long'],
    ['256 bytes in 128 characters', ['é'.repeat(128)], 'component-too-long'],
    ['256 bytes in 64 emoji', ['😀'.repeat(64)], 'component-too-long'],
    ['256 components', Array(256).fill('a'), 'too-deep'],
    ['4097 bytes', [...Array(15).fill('a'.repeat(255)), 'a'.repeat(255), 'b'], 'path-too-long'],
  ])('refuses %s', (_what, components, reason) => {
    expect(checkPath(components)).toEqual(refused(reason));
    for (const platform of platforms) expect(safePathOn(platform, components)).toEqual(refused(reason));
  });

  test.each<[string, readonly string[]]>([
    ['a plain name', ['photo.jpg']],
    ['a folder', ['holiday', 'IMG_2041.MOV']],
    ['names of dots', ['...', '.bashrc', '..a', 'a..b']],
    ['spaces inside', ['my file (2).txt']],
    ['a name of 255 bytes', ['a'.repeat(255)]],
    ['255 bytes of three-byte characters', ['文'.repeat(85)]],
    ['a path of 4096 bytes', Array(16).fill('a'.repeat(255))],
    ['255 components', Array(255).fill('a')],
    ['characters of several scripts', ['报告 ③.docx', 'שלום', '👩‍🚀.png']],
  ])('accepts %s', (_what, components) => {
    expect(checkPath(components)).toEqual(accepted);
  });

  test('counts one byte between components', () => {
    expect(checkPath(['ab', 'cd'], { maxPathBytes: 5 })).toEqual(accepted);
    expect(checkPath(['ab', 'cd'], { maxPathBytes: 4 })).toEqual(refused('path-too-long'));
  });

  test('takes other limits one by one', () => {
    expect(checkPath(['abc'], { maxComponentBytes: 2 })).toEqual(refused('component-too-long'));
    expect(checkPath(['a', 'b'], { maxDepth: 1 })).toEqual(refused('too-deep'));
    expect(safePathOn('windows', ['abc'], { maxComponentBytes: 2 })).toEqual(refused('component-too-long'));
  });

  test('reads no further than the limits into huge input', () => {
    const huge = 'a'.repeat(50_000_000);
    const started = performance.now();
    for (let round = 0; round < 10_000; round += 1) checkPath([huge]);
    // Reading it even once per call would take minutes.
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test('what it accepts is one file under the root, whoever joins the components', async () => {
    const { posix } = await import('node:path');
    fc.assert(
      fc.property(hostilePath, (components) => {
        if (!checkPath(components).ok) return;
        const joined = posix.join('/root', ...components);
        expect(joined.split('/').slice(2)).toEqual(components);
        expect(Buffer.from(joined).toString()).toBe(joined);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('safePathOn', () => {
  const onlyOnWindows: readonly [string, SafePathProblem][] = [
    ['a\\b', 'separator'],
    ['..\\..\\x', 'separator'],
    ['\\\\server\\share', 'separator'],
    ['a<b', 'reserved-character'],
    ['a>b', 'reserved-character'],
    ['"a"', 'reserved-character'],
    ['a|b', 'reserved-character'],
    ['what?', 'reserved-character'],
    ['*.txt', 'reserved-character'],
    ['name.', 'trailing-dot-or-space'],
    ['name ', 'trailing-dot-or-space'],
    ['...', 'trailing-dot-or-space'],
    [' ', 'trailing-dot-or-space'],
    ['CON', 'reserved-name'],
    ['nul', 'reserved-name'],
    ['Aux.txt', 'reserved-name'],
    ['prn.tar.gz', 'reserved-name'],
    ['NUL .txt', 'reserved-name'],
    ['nul   .tar.gz', 'reserved-name'],
    ['CON ', 'reserved-name'],
    ['NUL.', 'reserved-name'],
    ['CONIN$', 'reserved-name'],
    ['conout$.log', 'reserved-name'],
    ...['0', '1', '5', '9', '¹', '²', '³'].flatMap((digit): [string, SafePathProblem][] => [
      [`COM${digit}`, 'reserved-name'],
      [`lpt${digit}.txt`, 'reserved-name'],
    ]),
  ];

  test.each(onlyOnWindows)('%j is refused on Windows alone', (component, reason) => {
    expect(safePathOn('windows', [component])).toEqual(refused(reason));
    expect(safePathOn('windows', ['folder', component, 'file'])).toEqual(refused(reason));
    expect(safePathOn('posix', [component])).toEqual(accepted);
    expect(safePathOn('macos', [component])).toEqual(accepted);
  });

  test.each(['C:', 'c:x', 'a:b', 'file.txt:stream', 'file.txt::$DATA', ':'])(
    '%j is an ordinary name on posix only',
    (component) => {
      expect(safePathOn('posix', [component, 'x'])).toEqual(accepted);
      expect(safePathOn('macos', [component, 'x'])).toEqual(refused('reserved-character'));
      expect(safePathOn('windows', [component, 'x'])).toEqual(refused('reserved-character'));
    },
  );

  test.each([
    'console',
    'CONX',
    'COM',
    'COM10',
    'COM⁴',
    'LPT',
    'nul-1',
    'auxiliary.txt',
    ' nul',
    'x.nul',
    'com1a',
  ])('%j is no device', (component) => expect(safePathOn('windows', [component])).toEqual(accepted));

  test('macOS keeps the forks of a file out of reach', () => {
    expect(safePathOn('macos', ['a', '..namedfork', 'rsrc'])).toEqual(refused('reserved-name'));
    expect(safePathOn('macos', ['..NamedFork'])).toEqual(refused('reserved-name'));
    expect(safePathOn('posix', ['..namedfork'])).toEqual(accepted);
  });

  test('every platform refuses what is refused everywhere, Windows what macOS refuses by character', () => {
    fc.assert(
      fc.property(hostilePath, (components) => {
        const general = checkPath(components);
        for (const platform of platforms) {
          const result = safePathOn(platform, components);
          if (general.ok) continue;
          expect(result).toEqual(general);
        }
        expect(safePathOn('posix', components)).toEqual(general);
        const macos = safePathOn('macos', components);
        if (!macos.ok && macos.reason === 'reserved-character') {
          expect(safePathOn('windows', components).ok).toBe(false);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('collisionKey', () => {
  const composed = 'caf\u00e9';
  const decomposed = 'cafe\u0301';

  test.each<[string, string, string, readonly SafePathPlatform[]]>([
    ['letter case', 'README.md', 'readme.MD', ['windows', 'macos']],
    ['letter case beyond ASCII', 'ÄÖ.txt', 'äö.TXT', ['windows', 'macos']],
    ['composition', composed, decomposed, ['macos']],
    ['composition and case', 'CAF\u00c9', decomposed, ['macos']],
    ['Hangul in syllables and in parts', '한글', '한글'.normalize('NFD'), ['macos']],
    ['order of marks', 'a\u0323\u0301', 'a\u0301\u0323', ['macos']],
    ['sharp s', 'straße', 'STRASSE', ['windows', 'macos']],
    ['capital sharp s', 'STRA\u1e9eE', 'straße', ['windows', 'macos']],
    ['the Kelvin sign', '\u212a', 'k', ['windows', 'macos']],
    ['final sigma', 'ΣΑΣ', 'σας', ['windows', 'macos']],
    ['what HFS+ ignores', 'a\u200cb', 'ab', ['macos']],
    ['compatibility forms', 'ﬃ①', 'ffi1', []],
    ['other names', 'a', 'b', []],
    ['spaces', 'a b', 'ab', []],
  ])('%s', (_what, one, other, same) => {
    const equal = platforms.filter(
      (platform) => collisionKey(platform, ['d', one]) === collisionKey(platform, ['d', other]),
    );
    expect(equal).toEqual(same);
  });

  test('covers every case pair of Unicode, also by the simple folding file systems use', () => {
    const missed: string[] = [];
    for (const character of codePoints()) {
      const key = collisionKey('windows', [character]);
      for (const variant of [character.toLowerCase(), character.toUpperCase()]) {
        const folded = variant !== character && collisionKey('windows', [variant]) !== key;
        if (folded) missed.push(`${character} ${variant}`);
      }
    }
    expect(missed).toEqual([]);
  });

  test('no folding makes a separator, so paths do not run into each other', () => {
    for (const platform of platforms) {
      const made = [...codePoints()].filter(
        (character) => character !== '/' && collisionKey(platform, [character]).includes('/'),
      );
      expect(made).toEqual([]);
      expect(collisionKey(platform, ['a', 'b'])).not.toBe(collisionKey(platform, ['ab']));
    }
  });

  test('is a key: stable under its own variants', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (components) => {
        const key = (platform: SafePathPlatform, change: (text: string) => string) =>
          collisionKey(platform, components.map(change));
        expect(key('posix', String)).toBe(components.join('/'));
        for (const form of ['NFC', 'NFD']) {
          expect(key('macos', (text) => text.normalize(form))).toBe(key('macos', String));
        }
      }),
    );
  });
});

describe('keepBothName', () => {
  test.each<[string, number, string]>([
    ['photo.jpg', 2, 'photo (2).jpg'],
    ['photo.jpg', 10, 'photo (10).jpg'],
    ['photo (2).jpg', 2, 'photo (2) (2).jpg'],
    ['archive.tar.gz', 2, 'archive (2).tar.gz'],
    ['Archive.TAR.XZ', 3, 'Archive (3).TAR.XZ'],
    ['site.min.js', 2, 'site.min (2).js'],
    ['README', 2, 'README (2)'],
    ['.bashrc', 2, '.bashrc (2)'],
    ['..a', 2, '..a (2)'],
    ['.config.json', 2, '.config (2).json'],
    ['.tar.gz', 2, '.tar (2).gz'],
    ['name.', 2, 'name. (2)'],
    ['Mr. Smith and friends', 2, 'Mr. Smith and friends (2)'],
    ['报告.文档', 2, '报告 (2).文档'],
    ['a.very-long-thing-that-is-no-extension', 2, 'a.very-long-thing-that-is-no-extension (2)'],
  ])('%s, %i', (component, attempt, expected) => {
    expect(keepBothName(component, attempt)).toBe(expected);
  });

  test.each([1, 0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])(
    'refuses attempt %d',
    (attempt) => {
      expect(() => keepBothName('a', attempt)).toThrow(RangeError);
    },
  );

  test('cuts the stem between code points and keeps the extension', () => {
    expect(keepBothName(`${'a'.repeat(251)}.jpg`, 2)).toBe(`${'a'.repeat(247)} (2).jpg`);
    const emoji = keepBothName(`${'😀'.repeat(62)}.tar.gz`, 2);
    expect(emoji).toBe(`${'😀'.repeat(61)} (2).tar.gz`);
    expect(byteLength(emoji)).toBeLessThanOrEqual(255);
  });

  test('stays safe wherever the name was, fits, differs from the name and from other attempts', () => {
    const component = fc.oneof(
      hostileComponent,
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }),
      fc
        .tuple(fc.string({ unit: 'grapheme', minLength: 80 }), fc.constantFrom('.tar.gz', '.jpg', ''))
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(component, fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER - 1 }), (name, attempt) => {
        if (!checkPath([name]).ok) return;
        const kept = keepBothName(name, attempt);
        expect(byteLength(kept)).toBeLessThanOrEqual(255);
        expect(kept).not.toBe(name);
        expect(kept).not.toBe(keepBothName(name, attempt + 1));
        for (const platform of platforms) {
          if (safePathOn(platform, [name]).ok) expect(safePathOn(platform, [kept])).toEqual(accepted);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
