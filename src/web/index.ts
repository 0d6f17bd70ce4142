// Adapters for browsers: WebSocket, Blob, private file system. Nothing here may need Node.
export {};
