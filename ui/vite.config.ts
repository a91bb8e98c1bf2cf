import react from "@vitejs/plugin-react";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vitest/config";

const server = process.env["AUTOMAT_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: {
    target: "es2022",
    sourcemap: false,
    manifest: true, // scripts/budget.mjs follows it to find what the first view loads
    assetsInlineLimit: 0, // the content policy allows no data: fonts
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": server, "/healthz": server, "/ws": { target: server, ws: true } },
  },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}", "test/**/*.test.{ts,tsx}"],
    env: { TZ: "UTC" },
  },
});
