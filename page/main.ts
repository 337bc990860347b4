/**
 * The page: asks for the run's state once a second and shows it. What it shows is always text, never
 * markup: keys and the servers' words can be anything.
 */
import type { Live } from '../src/watch/live.js';
import { createCharts } from './charts.js';
import { showState } from './state.js';
import { byId, clock } from './dom.js';

const everyMs = 1000;
const charts = createCharts({
  keys: byId('keys'),
  bytes: byId('bytes'),
  latency: byId('latency'),
  follow: byId('follow'),
});
const notice = byId('notice');
let answeredAtMs = Date.now();
let last: Live | undefined;

async function ask(): Promise<void> {
  const answer = await fetch('/live.json', { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`it answered ${String(answer.status)}`);
  last = (await answer.json()) as Live;
  answeredAtMs = Date.now();
  notice.hidden = true;
  showState(last);
  byId('follow-section').hidden = last.follow === null;
  const { latencyMs, nodeLatencyMs } = last.course;
  byId('latency-section').hidden = [...latencyMs, ...nodeLatencyMs].every((ms) => ms === null);
  charts.show(last);
}

function noteSilence(): void {
  const since = clock(answeredAtMs);
  const ended = last !== undefined && last.report.status !== 'running';
  notice.textContent = ended
    ? `The run has ended; this is how it stood at ${since}.`
    : `No answer since ${since}: the run has ended, or can't be reached.`;
  notice.hidden = false;
}

async function loop(): Promise<void> {
  // Nobody looks: the run has better things to do.
  if (document.visibilityState === 'visible' || last === undefined) await ask().catch(noteSilence);
  setTimeout(() => void loop(), everyMs);
}

void loop();
