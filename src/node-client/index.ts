/** Public names of `sluice/node`: the same send and receive as `sluice/client`, with paths, folders and native code. */
export {
  Client,
  type ClientLimits,
  type FileEvent,
  formatLink,
  type Offer,
  parseLink,
  type ReceivedFile,
  type ReceivedFiles,
  type ReceiveEvent,
  type ReceiveSummary,
  type ReceiveTransfer,
  type SendEvent,
  type SendSummary,
  type SendTransfer,
  SluiceError,
  type SluiceErrorCode,
} from '../client/index.ts';
export type { SkippedSource } from '../node/index.ts';
export { createNodeEnvironment } from './node-environment.ts';
export { type NodeReceiveOptions, receive } from './receive.ts';
export { type NodeSendOptions, send } from './send.ts';
export { cancelTransfer, listTransfers, type SentTransfer, type TransfersOptions } from './transfers.ts';
