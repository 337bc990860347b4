/**
 * Two suites: `unit` needs nothing but Node; `e2e` starts real servers, so its tests may take a while.
 * They wait more than they work: two files at a time keep two cores busy, and more would only make
 * servers slow that are to be looked at.
 */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 120_000 } },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', 'test/integration/**/*.test.ts'],
          maxWorkers: 2,
          // They only end what hangs: how fast a machine is, is no test's business.
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
