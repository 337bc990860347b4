/** What all bundles have in common, those of the package and those in the executable. */

/** @satisfies {import('esbuild').BuildOptions} */
export const bundling = {
  bundle: true,
  platform: /** @type {const} */ ('node'),
  target: 'node20',
  legalComments: /** @type {const} */ ('inline'),
};

/**
 * Packages of the older kind ask for Node's own modules by `require`, which modules lack.
 * @param {string} from JavaScript: where they ask from.
 */
export function withRequire(from) {
  return {
    js: `import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(${from});`,
  };
}
