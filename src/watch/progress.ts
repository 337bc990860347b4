/**
 * How far the run has come, for those who watch it: on a terminal a view that is drawn in its place,
 * else one line every few seconds.
 */
import colours from 'picocolors';
import type { Colors } from 'picocolors/types.js';
import { followWords } from '../format.js';
import { harmless } from '../quote.js';
import type { Sample, Sampler } from './sampler.js';
import type { Screen } from './screen.js';
import { numbers, viewLines } from './view.js';

const drawEveryMs = 200;
const lineEveryMs = 5000;

export interface Progress {
  /** Leaves the terminal as it was found. */
  stop(): void;
}

export function showProgress(sampler: Sampler, screen: Screen): Progress {
  const palette = colours.createColors(screen.hasColours);
  const show = screen.isTerminal
    ? () => {
        screen.draw(viewLines(sampler.read(), screen, palette));
      }
    : () => {
        screen.write(`${progressLine(sampler.read(), palette)}\n`);
      };
  const timer = setInterval(show, screen.isTerminal ? drawEveryMs : lineEveryMs);
  // The run's end is the pipeline's business: watching it must not keep the process up.
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      screen.clear();
    },
  };
}

/** The same numbers on one line. */
export function progressLine(
  sample: Sample,
  palette: Colors = colours.createColors(false),
): string {
  const percent = `${(Math.min(sample.snapshot.progress, 1) * 100).toFixed(1)} %`;
  const follow = sample.facts.follow?.();
  return [
    percent,
    ...numbers(sample, palette).map(({ text }) => text),
    ...(follow ? [harmless(followWords(follow))] : []),
  ].join(' · ');
}
