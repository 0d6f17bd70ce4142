/** Versions on the wire: SemVer for the protocol and for each named extension. Same major is compatible; the lower minor applies. */
import { SluiceError } from './sluice-error.ts';

/** Major version, in the WebSocket subprotocol. */
export const SUBPROTOCOL = 'sluice.v1';
/** Full version, in hello and welcome. */
export const PROTOCOL_VERSION = '1.0.0';

export interface SemVer {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Returns null unless `text` is `major.minor.patch` (a pre-release or build suffix is allowed and ignored). */
export function parseSemVer(text: string): SemVer | null {
  const match = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+][0-9A-Za-z.+-]{1,64})?$/.exec(text);
  return match === null
    ? null
    : { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

/** What two sides speak together: the one with the lower minor, or null when the majors differ or one is malformed. */
export function commonVersion(ours: string, theirs: string): string | null {
  const a = parseSemVer(ours);
  const b = parseSemVer(theirs);
  if (a === null || b === null || a.major !== b.major) return null;
  const isOursLower = a.minor !== b.minor ? a.minor < b.minor : a.patch <= b.patch;
  return isOursLower ? ours : theirs;
}

/** Named extensions with their versions. */
export type Extensions = Readonly<Record<string, string>>;

/** The extensions both sides have in a compatible version, each at the lower minor; unknown ones are ignored. */
export function commonExtensions(ours: Extensions, theirs: Extensions): Extensions {
  const common: Record<string, string> = {};
  for (const [name, version] of Object.entries(ours)) {
    const theirVersion = Object.hasOwn(theirs, name) ? theirs[name] : undefined;
    const agreed = theirVersion === undefined ? null : commonVersion(version, theirVersion);
    if (agreed !== null) common[name] = agreed;
  }
  return common;
}

/** @throws SluiceError `versionMismatch` naming what we speak. */
export function agreeOnVersion(theirs: string): string {
  const agreed = commonVersion(PROTOCOL_VERSION, theirs);
  if (agreed === null) {
    const shown = parseSemVer(theirs) === null ? 'something else' : theirs;
    throw new SluiceError('versionMismatch', `This side speaks ${PROTOCOL_VERSION}, the other ${shown}.`);
  }
  return agreed;
}
