/** Public names of the server. */
export {
  type AttachOptions,
  type CloseOptions,
  createServer,
  type Listening,
  type ListenOptions,
  type ServerStats,
  type SluiceServer,
} from './create-server.ts';
export { type DataFolder, defaultDataFolder, openDataFolder } from './data-folder.ts';
export type { HubStats } from './hub/hub.ts';
export type { TransferDocument } from './hub/transfer-document.ts';
export type { AppendDone, LogStorage, LogStore } from './log/log-store.ts';
export { MemoryLogStore } from './log/memory-log-store.ts';
export { type LogFields, type Logger, silentLogger } from './logger.ts';
export { MemoryMetadataStore } from './metadata/memory-metadata-store.ts';
export type { MetadataStore, StoredDocument } from './metadata/metadata-store.ts';
export type { ServerOptions, ServerStores } from './server-options.ts';
