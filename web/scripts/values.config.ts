/** Builds `values.ts` for Node.js. */

import { defineConfig } from "vite";

export default defineConfig({
  build: {
    ssr: "scripts/values.ts",
    outDir: "build",
    rolldownOptions: { output: { entryFileNames: "values.js" } },
  },
});
