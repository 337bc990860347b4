/**
 * An assessment as one page that needs nothing else, to send to a colleague, and the file of `--html`
 * that it goes to.
 */
import { open } from 'node:fs/promises';
import { messageOf, UsageError } from '../errors.js';
import type { AssessReport } from './assess-report.js';
import { headline, sectionsOf } from './sections.js';

const style = `
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; background: #fff }
  h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
  table { border-collapse: collapse; width: 100% }
  td { border-top: 1px solid #d8dee6; padding: .3rem .8rem .3rem 0; vertical-align: top }
  td:first-child:not(.long) { white-space: nowrap }
  td:first-child { font-weight: 600 }
  div { overflow-x: auto }
  td.long { overflow-wrap: anywhere; min-width: 16rem }
  footer { margin-top: 2rem; color: #667 }
  @media (prefers-color-scheme: dark) { body { color: #dde4ec; background: #14191f } td { border-color: #303a46 } }
`;

function assessPage(report: AssessReport): string {
  const sections = sectionsOf(report).map(({ title, rows }) => {
    const lines = rows.map((row) => `<tr>${row.map(cellOf).join('')}</tr>`);
    return `<h2>${escaped(title)}</h2>\n<div><table>\n${lines.join('\n')}\n</table></div>`;
  });
  const title = escaped(headline(report));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${style}</style>
<h1>${title}</h1>
<p>As of ${escaped(report.takenAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC'))}</p>
${sections.join('\n')}
<footer>cluster-import ${escaped(report.version)}</footer>
</html>
`;
}

/** Only long text may break within words: what is short stays legible. */
function cellOf(text: string): string {
  const isLong = text.length > 24;
  return `<td${isLong ? ' class="long"' : ''}>${escaped(text)}</td>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${String(sign.charCodeAt(0))};`);
}

export interface Page {
  write(report: AssessReport): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the file before anything is looked at, since that takes time. What it holds stays until there
 * is something new.
 * @throws UsageError when it can't be written.
 */
export async function openPage(path: string): Promise<Page> {
  const file = await orUsage(open(path, 'a'));
  return {
    async write(report) {
      await orUsage(file.truncate(0));
      await orUsage(file.writeFile(assessPage(report)));
    },
    close: () => file.close(),
  };
}

async function orUsage<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new UsageError(`--html can't be written (${messageOf(error)}): choose another file.`, {
      cause: error,
    });
  }
}
