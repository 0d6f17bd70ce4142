// Adapters for Node: WebSocket through ws, files, proxies, TLS. Not the public API: see node-client.
export {};
