import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/{lib,process,conformance}/**/*.test.ts', 'test/*.test.ts'],
    // A native addon with threads wants a process of its own; and a crash then names its file.
    pool: 'forks',
    typecheck: { enabled: true, include: ['test/types/**/*.test-d.ts'] },
    // The built package is loaded by Node, as a user's would be.
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 30_000,
    passWithNoTests: true,
  },
});
