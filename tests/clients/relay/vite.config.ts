import { defineConfig } from "vite";
import relay from "vite-plugin-relay";

export default defineConfig({
  plugins: [relay],
  ssr: { noExternal: true },
  build: { rolldownOptions: { checks: { pluginTimings: false } } }, // what is slow on a busy machine is no news
});
