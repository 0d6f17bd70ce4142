/** Adapters for Node: WebSocket through ws, files, folders, time, hashes. Not the public API: see node-client. */
export * from './blake3.ts';
export * from './disk-space.ts';
export * from './file-source.ts';
export * from './sender-journal.ts';
export * from './system-clock.ts';
export * from './token.ts';
export * from './ws-acceptor.ts';
export * from './ws-connector.ts';
export * from './ws-transport.ts';
