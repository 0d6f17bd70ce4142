// The I/O shell around the protocol core, written once, and the ports it needs. No platform adapters here.
export {};
