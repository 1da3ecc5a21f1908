/** One page, one script, one style sheet: the server hands them out, and `--export` puts them into one file. */

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { licences } from "./scripts/licences.ts";

export default defineConfig({
  plugins: [svelte(), licences()],
  base: "./",
  build: {
    outDir: "../src/orbitope/explorer/assets",
    emptyOutDir: true,
    target: "es2022",
    // What is inlined into the single file has to be in the script already.
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: true,
    rolldownOptions: {
      output: {
        codeSplitting: false,
        entryFileNames: "explorer.js",
        assetFileNames: "explorer[extname]",
      },
    },
  },
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
  },
});
