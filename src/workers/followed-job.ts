/**
 * What a process does that follows sources for another one, which knows of all sources and decides. It asks that one
 * what it can't know itself, and carries out what it is told.
 *
 * Where that one falls silent while writes are held, they are let go: it may be gone, or may be stopped.
 */
import { listingRecord } from '../engine/seen-keys.js';
import type { AllSources } from '../follow/all-sources.js';
import type { LocalParticipant } from '../follow/local-participant.js';
import { keyStart } from '../redis/frames.js';
import type { FollowedHere, FollowLead, KnownDatabase } from '../run/followed-here.js';
import type { FollowCheckpoint, Keys, Phase } from '../types.js';
import {
  type AskedOfJob,
  type AskedOfLead,
  type Dialogue,
  type JoinedDatabase,
  pageOf,
  pageOnWire,
  roundOnWire,
  type States,
} from './dialogue.js';
import type { SourceJob } from './source-job.js';

/** So often it is looked whether the one that decides has been heard; after so many times without, it is silent. */
const lookEveryMs = 250;
const mostSilentLooks = 12;

interface ToldDatabase {
  readonly known: KnownDatabase;
  goesOn: boolean;
  /** The number of the last order. */
  order: number;
}

export interface FollowedJob extends FollowLead {
  phase: Phase | undefined;
  /** Says that the feeds were joined. @returns when copying may begin. */
  joined(here: FollowedHere): Promise<void>;
  /** Says how it stands, now and then. */
  tell(): void;
  close(): void;
}

export function createFollowedJob(
  { follow }: Pick<SourceJob, 'follow'>,
  dialogue: Dialogue<AskedOfLead>,
): FollowedJob {
  const databases = new Map<string, ToldDatabase>();
  let participants: readonly LocalParticipant[] = [];
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  let silentLooks = 0;
  const looking = setInterval(() => {
    if (++silentLooks < mostSilentLooks) return;
    for (const one of participants) one.standAlone();
  }, lookEveryMs);

  function databaseOf(job: string): ToldDatabase {
    return databases.get(job) as ToldDatabase;
  }

  function at(address: string): LocalParticipant {
    silentLooks = 0;
    return participants.find((one) => one.address === address) as LocalParticipant;
  }

  function states(): States {
    return Object.fromEntries(participants.map((one) => [one.address, one.state]));
  }

  /** What is only said needs no answer: who does not hear it is gone. */
  function say(asking: Promise<unknown>): void {
    asking.catch(() => undefined);
  }

  /** Asks for those keys alone that are not known to be its own. */
  function claiming(job: string, keyCount: number): NonNullable<AllSources['claim']> {
    const own = listingRecord(keyCount, 'sparse');
    const isOwn = ({ bytes, starts }: Keys, index: number): boolean =>
      own.has(bytes, keyStart(bytes, starts[index] as number), (starts[index + 1] as number) - 2);
    return async (page) => {
      const all = [...Array(page.count).keys()];
      if (all.every((index) => isOwn(page, index))) return all;
      const mine = await dialogue.ask('claim', job, pageOnWire(page));
      for (const index of mine) {
        const start = keyStart(page.bytes, page.starts[index] as number);
        own.noted(page.bytes, start, (page.starts[index + 1] as number) - 2);
      }
      return mine;
    };
  }

  const answers: AskedOfJob = {
    begin() {
      begin();
    },
    stay() {
      silentLooks = 0;
    },
    hurry(address, isHurried) {
      at(address).hurry(isHurried);
    },
    prepare: (address) => at(address).prepare(),
    approach: (address) => at(address).approach(),
    hold: (address) => at(address).hold(),
    copyTheRest: (address) => at(address).copyTheRest(),
    settle: (address) => at(address).settle(),
    look: (address) => at(address).look(),
    goOn(address) {
      at(address).goOn();
    },
    letGo: (address) => at(address).letGo(),
    shut: (address) => at(address).shut(),
    unpause: (address) => at(address).unpause(),
    lateWrites: (address) => at(address).lateWrites(),
    end(address) {
      at(address).end();
    },
    note(job, name) {
      databaseOf(job).known.changed.note(Buffer.from(name, 'base64').toString('latin1'));
    },
    noteEverything(job, why, order) {
      const database = databaseOf(job);
      database.order = order;
      database.known.changed.noteEverything(why);
    },
    noteStrays(job, order) {
      const database = databaseOf(job);
      database.order = order;
      database.known.changed.noteStrays();
    },
  };
  dialogue.answer(answers);

  return {
    isTakenUp: follow?.isTakenUp === true,
    phase: undefined,
    resumeAt: (job): FollowCheckpoint | undefined => follow?.at[job],
    add(job, known) {
      const database = { known, goesOn: false, order: 0 };
      databases.set(job, database);
      let passing = 0;
      async function passOn(name: string): Promise<void> {
        passing++;
        // It stays here where nobody else takes it, and is tried again.
        const isTaken = await dialogue
          .ask('passOn', job, Buffer.from(name, 'latin1').toString('base64'))
          .catch(() => false);
        if (!isTaken) known.changed.note(name);
        passing--;
      }
      return {
        claim: follow?.mayShareNames === true ? claiming(job, known.keyCount) : undefined,
        get passing() {
          return passing;
        },
        ownerOf: () =>
          follow?.areOfCluster === true ? { note: (name) => void passOn(name) } : undefined,
        async beginSearch() {
          const slots = await dialogue.ask('beginSearch', job);
          return slots === null ? undefined : new Set(slots);
        },
        async endSearch() {
          await dialogue.ask('endSearch', job);
        },
        async absentElsewhere(page) {
          if (follow?.mayShareNames !== true || page.count === 0) return page;
          return pageOf(await dialogue.ask('absentElsewhere', job, pageOnWire(page)));
        },
        goesOn() {
          database.goesOn = true;
        },
        reached(position) {
          say(dialogue.ask('reached', job, position, database.order));
        },
        roundEnded(round, isCopied) {
          say(dialogue.ask('roundEnded', job, roundOnWire(round), isCopied, states()));
        },
      };
    },
    async joined(here) {
      participants = here.participants;
      const known = [...databases].map(
        ([
          job,
          {
            known: { changed },
            goesOn,
          },
        ]) => {
          return [job, { goesOn, isOfFeed: changed.isOfFeed } satisfies JoinedDatabase] as const;
        },
      );
      await dialogue.ask('joined', states(), Object.fromEntries(known));
      await begun;
    },
    tell() {
      if (participants.length > 0) say(dialogue.ask('stands', states()));
    },
    close() {
      clearInterval(looking);
    },
  };
}
