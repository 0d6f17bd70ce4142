/** Public names of `sluice/client`: sending and receiving on web standards. */

export { SluiceError, type SluiceErrorCode } from '../protocol/index.ts';
export type { NamedContent, WebSource } from '../web/index.ts';
export type { ReceivedFiles, ReceiveOptions, SendOptions, TransferStatus } from './client.ts';
export { Client } from './client.ts';
export type { ClientEnvironment, ClientLimits } from './environment.ts';
export { DEFAULT_CLIENT_LIMITS } from './environment.ts';
export type * from './events.ts';
export type { ReceivedFile } from './file-stream-sink.ts';
export { formatLink, type Link, normalizeServerUrl, parseLink, readTokenOf, SECRET_BYTES } from './link.ts';
export type { ReceiveTransfer } from './receive-transfer.ts';
export type { SendIdentity, SendTransfer, TransferCredentials } from './send-transfer.ts';
export { createWebEnvironment, receive, send } from './web-client.ts';
