/** This package's own version, as package.json has it. */
import { createRequire } from 'node:module';

// One folder up, both from src/ and from dist/.
const manifest = createRequire(import.meta.url)('../package.json') as { readonly version: string };

export const version = manifest.version;
