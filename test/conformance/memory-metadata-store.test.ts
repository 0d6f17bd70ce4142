import { describe } from 'vitest';
import { MemoryMetadataStore } from '../../src/server/metadata/memory-metadata-store.ts';
import { metadataStoreSuite } from './metadata-store.suite.ts';

describe('MemoryMetadataStore', () => {
  metadataStoreSuite(async () => ({ store: new MemoryMetadataStore(), dispose: async () => {} }));
});
