/**
 * A process that runs one job for its parent (job-runner.ts), and ends with it. A process of its own for
 * each job, so that none can take another one down with it, and what is left of it ends with it.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ConnectionError, messageOf } from '../errors.js';
import type { Endpoint } from '../redis/endpoint.js';
import { identifyAs, type Identity } from '../redis/identity.js';
import { reopenedControl } from '../redis/control.js';
import type { Said } from './dialogue.js';
import type { JobEnd, JobNews, JobOrders } from './job-news.js';
import { runJob } from './run-job.js';
import type { JobSecrets, SourceJob } from './source-job.js';

export type ToJob =
  | {
      readonly kind: 'begin';
      readonly job: SourceJob;
      readonly secrets: JobSecrets;
      readonly orders: JobOrders;
      /** How long what an attempt before had sent may be under way, where its connections can't be closed. */
      readonly othersLastMs: number;
      /** Undefined: the job is this process's own for as long as its parent lives. */
      readonly lease: Lease | undefined;
    }
  | { readonly kind: 'orders'; readonly orders: JobOrders }
  | { readonly kind: 'said'; readonly said: Said }
  | { readonly kind: 'stop' };

/** Whose a job is: of whoever's token stands there. */
export interface Lease {
  readonly endpoint: Endpoint;
  readonly key: string;
  readonly token: string;
  readonly timeoutMs: number;
}

export type FromJob =
  | { readonly kind: 'news'; readonly news: JobNews }
  | { readonly kind: 'said'; readonly said: Said }
  | { readonly kind: 'end'; readonly end: JobEnd };

const unexpectedErrorCode = 3;
const stop = new AbortController();
let obey: ((orders: JobOrders) => void) | undefined;
let hearSaid: ((said: Said) => void) | undefined;
let lastOrders: JobOrders | undefined;

// A terminal sends these to all of its processes: the parent says what is to be done.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'])
  process.on(signal, () => undefined);
// Without the parent nobody hears what becomes of keys. What is under way is as it would be after a kill.
process.on('disconnect', () => {
  process.exit(unexpectedErrorCode);
});
process.on('message', (message: ToJob) => {
  if (message.kind === 'stop') stop.abort();
  else if (message.kind === 'said') hearSaid?.(message.said);
  else if (message.kind === 'orders') {
    lastOrders = message.orders;
    obey?.(message.orders);
  } else {
    void begin(message);
  }
});

async function begin(given: ToJob & { readonly kind: 'begin' }): Promise<void> {
  const { job, secrets, orders, othersLastMs, lease } = given;
  let end: JobEnd;
  try {
    const identity: Identity = {
      work: job.work,
      attempt: randomUUID(),
      // Without a lease, the parent has seen the process of the attempt before end.
      confirm: lease ? confirming(lease) : () => Promise.resolve(),
    };
    identifyAs(identity);
    end = await runJob(job, {
      secrets,
      identity,
      othersAreGone: () => delay(othersLastMs),
      orders,
      signal: stop.signal,
      tell: (news) => {
        send({ kind: 'news', news });
      },
      say(said) {
        send({ kind: 'said', said });
      },
      onSaid(hear) {
        hearSaid = hear;
      },
      onBegin(takesOrders) {
        obey = takesOrders;
        if (lastOrders) obey(lastOrders);
      },
    });
  } catch (error) {
    process.stderr.write(`unexpected error: ${messageOf(error)}\n`);
    process.exit(unexpectedErrorCode);
  }
  process.send?.({ kind: 'end', end } satisfies FromJob, () => {
    process.exit(0);
  });
}

/** Asks anew each time: what was so a moment ago says nothing. */
function confirming({ endpoint, key, token, timeoutMs }: Lease): Identity['confirm'] {
  const control = reopenedControl(endpoint, { side: 'queue', timeoutMs });

  return async () => {
    const holder = await control.call('GET', key).catch((error: unknown) => {
      if (!(error instanceof ConnectionError)) throw error;
      return control.call('GET', key);
    });
    if (holder === token) return;
    // Nothing that this process would still do is its own.
    process.stderr.write('another worker has the job by now\n');
    process.exit(unexpectedErrorCode);
  };
}

function send(message: FromJob): void {
  process.send?.(message);
}
