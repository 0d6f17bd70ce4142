// The public API for Node users (`sluice/node`): the client with paths, folders and proxies.
export {};
