// The test projects, one per folder of test/. `npm test` runs all but `long`.
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const project = (name: string, options: { testTimeout?: number } = {}) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], ...options },
});

export default defineConfig({
  test: {
    pool: 'forks',
    // One worker per core but one; two at least, because e2e tests mostly wait.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    passWithNoTests: true,
    projects: [
      project('unit'),
      project('simulation'),
      project('conformance'),
      project('types'),
      project('fuzz', { testTimeout: 30_000 }),
      project('e2e', { testTimeout: 120_000 }),
      project('long', { testTimeout: 30 * 60_000 }),
    ],
  },
});
