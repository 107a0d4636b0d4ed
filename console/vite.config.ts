import { defineConfig } from 'vite';

/** Built into dist/console, which the service serves at /console/; nothing from elsewhere, nothing inline (its CSP). */
export default defineConfig({
  root: import.meta.dirname,
  base: '/console/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../dist/console',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  // Beside a service on its usual port: `npx vite console`.
  server: { proxy: { '/dhos': 'http://127.0.0.1:5000' } },
});
