/**
 * The only two names the protocol layer takes from its surroundings. Both exist in every browser and in Node,
 * are pure, and are declared here by hand so that no other platform name resolves in this layer.
 */
declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes: Uint8Array): string;
}
