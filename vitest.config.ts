/**
 * Two suites: `unit` needs nothing but Node; `e2e` starts real servers, so its tests may take a while.
 * They wait more than they work: two files at a time keep two cores busy, and more would only make
 * servers slow that are to be looked at.
 */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', 'test/integration/**/*.test.ts'],
          maxWorkers: 2,
          // Servers that share two busy cores may be late once: what fails twice is red.
          retry: 1,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
