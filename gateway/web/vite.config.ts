import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

// Names in assets/ carry a hash of their content, so that the gateway lets
// browsers keep them for good. Nothing is inlined: the content security policy
// allows scripts and fonts of the same origin only.
export default defineConfig({
  plugins: [react(), tailwindcss(), early("src/app.tsx")],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 700 },
});

/** early has the page fetch a module that main.tsx imports later, so that it comes beside the words and not after them. */
function early(module: string): Plugin {
  return {
    name: "early",
    transformIndexHtml(_, { bundle }) {
      const chunk = Object.values(bundle ?? {}).find((c) => c.type === "chunk" && c.facadeModuleId?.endsWith(module));
      if (chunk?.type !== "chunk") return [];
      const files = [chunk.fileName, ...chunk.imports].filter((file) => !(bundle?.[file] as { isEntry?: boolean }).isEntry);
      return files.map((file) => ({ tag: "link", attrs: { rel: "modulepreload", crossorigin: true, href: `/${file}` }, injectTo: "head" as const }));
    },
  };
}
