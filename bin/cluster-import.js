#!/usr/bin/env node
import { existsSync } from 'node:fs';

const built = new URL('../dist/cli.js', import.meta.url);
if (existsSync(built)) {
  const { main } = await import(built.href);
  await main(process.argv);
} else {
  console.error('cluster-import: it is not built yet: say "npm ci" and "npm run build" first');
  process.exitCode = 2;
}
