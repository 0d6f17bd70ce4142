/** Adapters on web standards: WebSocket, blobs and streams, time, randomness. Nothing here may need Node. */
export * from './web-clock.ts';
export * from './web-socket-transport.ts';
export * from './web-source.ts';
