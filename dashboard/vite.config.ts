import preact from "@preact/preset-vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [preact()],
  build: {
    outDir: "../src/raingauge/web/static/dashboard",
    emptyOutDir: true,
    target: "es2022",
    // Data URLs would need an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
  },
  // `npm run dev` shows the data of a server on its default port.
  server: { proxy: { "/api": "http://127.0.0.1:4318", "/v1": "http://127.0.0.1:4318" } },
});
