import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Names in assets/ carry a hash of their content, so that the gateway lets
// browsers keep them for good. Nothing is inlined: the content security policy
// allows scripts and fonts of the same origin only.
export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 700 },
});
