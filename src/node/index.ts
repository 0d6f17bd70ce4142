/**
 * Adapters for Node: WebSocket through ws, files, folders, time, hashes. Not the public API: see node-client.
 */
export * from './blake3.ts';
export * from './disk-space.ts';
export type { ConflictRule } from './file-placer.ts';
export * from './file-source.ts';
export * from './folder-sink.ts';
export * from './sender-journal.ts';
export type * from './sink-file.ts';
export * from './stream-sink.ts';
export * from './system-clock.ts';
export * from './token.ts';
export * from './ws-acceptor.ts';
export * from './ws-connector.ts';
export * from './ws-transport.ts';
