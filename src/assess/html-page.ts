/**
 * An assessment as one page that needs nothing else, to send to a colleague, and the file of `--html`
 * that it goes to.
 */
import { open } from 'node:fs/promises';
import { messageOf, UsageError } from '../errors.js';
import { formatBytes, formatCount } from '../format.js';
import { nameOf } from '../redis/server.js';
import type { AssessReport } from './assess-report.js';
import { percent, troubledPatterns } from './findings.js';
import {
  isNumber,
  patternsTitle,
  type Section,
  sectionsOf,
  subject,
  timeWords,
} from './sections.js';

const style = `
  :root { --paper: #f6f7f9; --card: #fff; --ink: #16202c; --faint: #5d6b7c; --rule: #dfe4ea; --bar: #0b6bcb; --good: #177245; --warn: #9a5b00; --bad: #c0262d }
  @media (prefers-color-scheme: dark) { :root { --paper: #10151b; --card: #182029; --ink: #e6ebf1; --faint: #93a1b1; --rule: #2a3542; --bar: #5aa9f5; --good: #4cc38a; --warn: #f0b35b; --bad: #ff7b7b } }
  * { box-sizing: border-box }
  body { font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; max-width: 70rem; margin: 0 auto; padding: 1rem; color: var(--ink); background: var(--paper) }
  section, details { margin: 1rem 0; padding: 1rem; border: 1px solid var(--rule); border-radius: .6rem; background: var(--card) }
  .verdict { border-left: .5rem solid var(--mood) } .verdict h1 { margin: 0; font-size: 1.5rem; color: var(--mood) } .verdict p { margin: .25rem 0 0; overflow-wrap: anywhere }
  .can-move { --mood: var(--good) } .cannot-move { --mood: var(--bad) } .undecided { --mood: var(--warn) }
  dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: 1rem; margin: 1rem 0 0 } dt, small, footer { color: var(--faint) } dd { margin: 0; font-size: 1.4rem }
  h2 { margin: 0 0 .5rem; font-size: 1.05rem } summary { font-weight: 600; cursor: pointer } ol { margin: 0; padding-left: 1.5rem } li { margin: .4rem 0; overflow-wrap: anywhere }
  .badge { padding: 0 .5rem; border: 1px solid currentColor; border-radius: 1rem; font-size: .85rem; white-space: nowrap } .blocking { color: var(--bad) } .open { color: var(--warn) } .note { color: var(--faint) }
  .chart { display: grid; grid-template-columns: minmax(4rem, max-content) 1fr max-content; gap: .3rem .8rem; align-items: center } .chart span { overflow-wrap: anywhere }
  .bar { height: .7rem; border-radius: .35rem; background: var(--bar); min-width: 2px }
  .scroll { overflow-x: auto; margin-top: .5rem } table { border-collapse: collapse; width: 100% }
  td { border-top: 1px solid var(--rule); padding: .3rem .8rem .3rem 0; vertical-align: top } td:first-child:not(.long) { white-space: nowrap } td.long { overflow-wrap: anywhere; min-width: 16rem }
  th { padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: bottom; font-weight: 400; font-size: .85rem; color: var(--faint) }
  .number { text-align: right; white-space: nowrap }
`;

const titles = {
  'can-move': '✓ Can move',
  'cannot-move': '✗ Can’t move as it is',
  undecided: '? Undecided',
};

function assessPage(report: AssessReport): string {
  const { status, from, takenAt, source, version } = report;
  const title = `${titles[status]}: ${from}`;
  const details = sectionsOf(report).filter((section) => section.title !== 'Findings');
  // What has to be changed is what people came for.
  const isToChange = report.case === 3;
  const patterns = details.filter((section) => isToChange && section.title === patternsTitle);
  const others = details.filter((section) => !patterns.includes(section));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<style>${style}</style>
<main>
<section class="verdict ${status}">
<h1>${titles[status]}</h1>
<p>${escaped(subject(report))}</p>
<p><small>${escaped(nameOf(source))}, as of ${escaped(takenAt.replace('T', ' ').replace(/\.\d+Z$/, ' UTC'))}</small></p>
<dl>${figures(report)}</dl>
</section>
${toDo(report)}
${patterns.map((section) => folded(section, true)).join('\n')}
${charts(report)}
${others.map((section) => folded(section, false)).join('\n')}
</main>
<footer>cluster-import ${escaped(version)}</footer>
</html>
`;
}

/** What somebody who has to decide asks first. */
function figures({ data, plan, findings, watch }: AssessReport): string {
  const keys = data.databases.reduce((sum, database) => sum + database.keys, 0);
  const blocking = findings.filter((finding) => finding.blocking).length;
  // One finding tells of all of them, and each is a change of its own.
  const patterns = troubledPatterns(watch?.patterns ?? []).length;
  const changes = patterns > 0 ? blocking - 1 + patterns : blocking;
  const time = plan?.estimate && timeWords(plan.estimate);
  return [
    ['keys', formatCount(keys)],
    ['memory of the keys', `about ${formatBytes(keys * data.meanBytes)}`],
    time === undefined
      ? ['databases', formatCount(data.databases.length)]
      : ['time of an import', time],
    ['to be changed first', formatCount(changes)],
  ]
    .map(
      ([term = '', value = '']) => `<div><dt>${escaped(term)}</dt><dd>${escaped(value)}</dd></div>`,
    )
    .join('');
}

function toDo({ findings }: AssessReport): string {
  if (findings.length === 0) return '';
  const items = findings.map(({ blocking, open, message }) => {
    const [kind, word] = blocking
      ? ['blocking', 'change first']
      : open
        ? ['open', 'not known']
        : ['note', 'to know'];
    return `<li><span class="badge ${kind}">${word}</span> ${escaped(message)}</li>`;
  });
  return `<section>\n<h2>What to do</h2>\n<ol>\n${items.join('\n')}\n</ol>\n</section>`;
}

/** What people would rather look at than read. */
function charts({ data, nodes = [] }: AssessReport): string {
  const types = data.types.map(({ type, share }) => ({ name: type, share, text: percent(share) }));
  const sizes = data.types.flatMap(({ type, share, meanBytes }) =>
    meanBytes === undefined
      ? []
      : [{ name: type, share: share * meanBytes, text: `${formatBytes(meanBytes)} a key` }],
  );
  const placed = nodes.map(({ address, share, expectedBytes }) => ({
    name: address,
    share,
    text: `${percent(share)}, about ${formatBytes(expectedBytes)}`,
  }));
  const slots = data.loadedSlots.map(({ slot, share, shape }) => ({
    name: `slot ${String(slot)}`,
    share,
    text: `${percent(share)}: ${shape}`,
  }));
  return [
    chart('Keys by type', types),
    chart('Memory by type', sizes),
    chart('Keys by node', placed),
    chart('Slots that hold far more than others', slots),
  ].join('\n');
}

interface ChartBar {
  readonly name: string;
  readonly share: number;
  readonly text: string;
}

function chart(title: string, bars: readonly ChartBar[]): string {
  if (bars.length === 0) return '';
  const most = Math.max(...bars.map(({ share }) => share), Number.MIN_VALUE);
  const rows = bars.map(({ name, share, text }) => {
    const width = ((share / most) * 100).toFixed(1);
    return `<span>${escaped(name)}</span><div><div class="bar" style="width:${width}%"></div></div><span>${escaped(text)}</span>`;
  });
  return `<section>\n<h2>${escaped(title)}</h2>\n<div class="chart">\n${rows.join('\n')}\n</div>\n</section>`;
}

function folded({ title, heads, rows, more }: Section, isOpen: boolean): string {
  const head = heads
    ?.map((text, at) => {
      const kind = rows.every((row) => isNumber(row[at])) ? ' class="number"' : '';
      return `<th scope="col"${kind}>${escaped(text)}</th>`;
    })
    .join('');
  const ahead = head === undefined ? '' : `<thead><tr>${head}</tr></thead>\n`;
  const behind = more === undefined ? '' : `<p><small>${escaped(more)}</small></p>\n`;
  const lines = rows.map((row) => `<tr>${row.map(cellOf).join('')}</tr>`);
  const label = escaped(title);
  return `<details${isOpen ? ' open' : ''}>\n<summary>${label}</summary>\n<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table>\n${ahead}${lines.join('\n')}\n</table></div>\n${behind}</details>`;
}

/** Only long text may break within words: what is short stays legible. Numbers stand below one another. */
function cellOf(text: string): string {
  const kind = text.length > 24 ? 'long' : text !== '' && isNumber(text) ? 'number' : '';
  return `<td${kind === '' ? '' : ` class="${kind}"`}>${escaped(text)}</td>`;
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
