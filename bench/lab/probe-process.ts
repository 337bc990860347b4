/**
 * The probe: another client of the source, who asks it for a key once a millisecond, or some times.
 *
 * It asks on time whether or not the last answer is there, so that a source that stands still for 50 ms
 * keeps fifty questions waiting and not one. The key does not exist: nothing that is moved is touched.
 * A process of its own, told what to do by messages, because the benchmark's has other things to do.
 */
import { connect } from 'node:net';
import type { Latency } from '../types.js';
import { encode } from './feed.js';

const [host = '', port = '', perMs = '1'] = process.argv.slice(2);
const atOnce = Math.round(Number(perMs));
const question = encode(['GET', 'a key that nobody has']);
const questions = Buffer.concat(Array.from({ length: atOnce }, () => question));
const answerLength = '$-1\r\n'.length;
const askedAt: bigint[] = [];
const latenciesMs: number[] = [];
let received = 0;
let recording = false;

const socket = connect({ host, port: Number(port), noDelay: true }, () => {
  setInterval(() => {
    const now = process.hrtime.bigint();
    for (let time = 0; time < atOnce; time++) askedAt.push(now);
    socket.write(questions);
  }, 1);
  process.send?.('ready');
});
socket.on('data', (chunk) => {
  const now = process.hrtime.bigint();
  for (received += chunk.length; received >= answerLength; received -= answerLength) {
    const asked = askedAt.shift();
    if (asked !== undefined && recording) latenciesMs.push(Number(now - asked) / 1e6);
  }
});
socket.once('close', () => process.exit(1));

process.on('message', (message) => {
  if (message === 'record') recording = true;
  else process.send?.(summary(), () => process.exit(0));
});
process.once('disconnect', () => process.exit(0));

function summary(): Latency {
  const sorted = latenciesMs.sort((one, other) => one - other);
  const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? NaN;
  return { samples: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
