/** One line on how far something has come: on a terminal in its place, else one every few seconds. */
import { screenOf } from './screen.js';

const drawEveryMs = 200;
const lineEveryMs = 5000;

/**
 * @param line what there is to say by now.
 * @param stream undefined: nobody is told.
 */
export function showPassingLine(
  line: () => string,
  stream: NodeJS.WritableStream | undefined,
): { stop(): void } {
  if (!stream) return { stop: () => undefined };
  const screen = screenOf(stream);
  const timer = setInterval(
    () => {
      if (screen.isTerminal) screen.draw([line()]);
      else screen.write(`${line()}\n`);
    },
    screen.isTerminal ? drawEveryMs : lineEveryMs,
  );
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      screen.clear();
    },
  };
}
