/**
 * The page that shows a run in a browser: one file that scripts/build-page.mjs made from page/. Its
 * script and its style are allowed by their hashes, and nothing else is.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { pageFile } from '../installed.js';
import type { Answer } from './http.js';

export async function readPage(): Promise<Answer> {
  const body = await readFile(pageFile, 'utf8');
  const policy = [
    "default-src 'none'",
    `script-src ${hashesOf(body, 'script')}`,
    `style-src ${hashesOf(body, 'style')}`,
    "connect-src 'self'",
    'img-src data:',
  ].join('; ');
  return { type: 'text/html; charset=utf-8', body, policy };
}

function hashesOf(html: string, element: 'script' | 'style'): string {
  const found = html.matchAll(new RegExp(`<${element}[^>]*>([^]*?)</${element}>`, 'g'));
  return [...found]
    .map(([, content = '']) => `'sha256-${createHash('sha256').update(content).digest('base64')}'`)
    .join(' ');
}
