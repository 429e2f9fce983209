import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // A test that leaves a promise to fail on its own is a bug of that test.
    dangerouslyIgnoreUnhandledErrors: false,
  },
});
