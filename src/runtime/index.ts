/** The I/O shell, written once, and the ports it needs. */
export * from './connection-driver.ts';
export * from './late-digester.ts';
export * from './ports.ts';
export * from './send-budget.ts';
export type * from './send-journal.ts';
export type * from './transfer-sink.ts';
export * from './wasm-digester.ts';
