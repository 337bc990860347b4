/**
 * The sources of a run that other processes follow, for the one that knows of all of them and decides
 * (run/following.ts): what those ask is answered, what they have to know is told.
 *
 * A process may die. What it was told to copy and had not copied yet is told to the one that takes its sources up.
 */
import { Gate } from '../async.js';
import { ImportError, PreflightError } from '../errors.js';
import type { AllSources, ToldOfChanges } from '../follow/all-sources.js';
import { followedJob } from '../run/followed-here.js';
import { type Followers, type Following, openWritesOf } from '../run/following.js';
import {
  byServer,
  isServer,
  type ServerSourceFacts,
  type SourceFacts,
} from '../plan/source-facts.js';
import { connect } from '../redis/connection.js';
import { addressOf } from '../redis/endpoint.js';
import { locate } from '../redis/control.js';
import {
  type AskedOfJob,
  type AskedOfLead,
  Dialogue,
  type JoinedDatabase,
  pageOf,
  pageOnWire,
  roundOf,
  type Said,
  type States,
} from './dialogue.js';
import { RemoteParticipant } from './remote-participant.js';
import type { SourceJob } from './source-job.js';

/** A database that another process follows. */
class RemoteDatabase implements ToldOfChanges {
  readonly #job: string;
  #dialogue: Dialogue<AskedOfJob> | undefined;
  #isOfFeed = true;
  /** What it was told to look through, and has not: why all of its keys, and whether for strays. */
  #everything: string | undefined;
  #strays = false;
  #order = 0;

  constructor(job: string) {
    this.#job = job;
  }

  get isOfFeed(): boolean {
    return this.#isOfFeed && this.#everything === undefined && !this.#strays;
  }

  attach(dialogue: Dialogue<AskedOfJob>, { isOfFeed }: JoinedDatabase): void {
    this.#dialogue = dialogue;
    this.#isOfFeed = isOfFeed;
    if (this.#everything !== undefined) this.noteEverything(this.#everything);
    if (this.#strays) this.noteStrays();
  }

  detach(): void {
    this.#dialogue = undefined;
  }

  note(name: string): void {
    // Whoever follows it next looks through all.
    void this.pass(name).catch(() => {
      this.noteEverything('nobody followed it when it was told of a key');
    });
  }

  /** Resolves when the key waits to be copied. @throws ImportError when nobody follows the database. */
  async pass(name: string): Promise<void> {
    if (!this.#dialogue) throw new ImportError('nobody follows it at present');
    await this.#dialogue.ask('note', this.#job, Buffer.from(name, 'latin1').toString('base64'));
  }

  noteEverything(why: string): void {
    this.#everything = why;
    this.#order++;
    this.#dialogue?.ask('noteEverything', this.#job, why, this.#order).catch(() => undefined);
  }

  noteStrays(): void {
    this.#strays = true;
    this.#order++;
    this.#dialogue?.ask('noteStrays', this.#job, this.#order).catch(() => undefined);
  }

  /** @returns whether all is done that it was told, by what it has heard. */
  hasDone(order: number): boolean {
    if (order !== this.#order) return false;
    this.#everything = undefined;
    this.#strays = false;
    this.#isOfFeed = true;
    return true;
  }
}

interface KnownHere {
  /** As the report names it. */
  readonly name: string;
  readonly participant: RemoteParticipant;
  readonly told: RemoteDatabase;
  readonly all: AllSources;
}

/** What is known of a job's process from here. */
interface Process {
  readonly dialogue: Dialogue<AskedOfJob>;
  hasJoined: boolean;
}

export interface FollowedElsewhere extends Followers {
  /** Answers a process that has begun a job. @returns what takes what it says. */
  meet(job: SourceJob, say: (said: Said) => void): (said: Said) => void;
  /** The process is gone. */
  part(job: SourceJob): void;
  /** Whether the job has been joined by its present process. */
  isJoined(job: SourceJob): boolean;
  /** Whether a process of this run has joined it. */
  wasJoined(job: SourceJob): boolean;
  /** Copying begins: of what has joined, and of what joins later. */
  begin(): void;
  /** Resolves when nothing is to be followed any more. */
  untilOver(): Promise<void>;
  /** Whether a job whose process has died is to be taken up again. Waits for the end of a cutover that is being carried out. */
  goesOn(): Promise<boolean>;
}

/** @param start begins the jobs. @returns what ends when one of them does, with why it was refused. */
export function createFollowedElsewhere(
  sources: readonly SourceFacts[],
  timeoutMs: number,
  following: Following,
  jobs: readonly SourceJob[],
  start: (job: SourceJob) => Promise<string | undefined>,
): FollowedElsewhere {
  const databases = new Map<string, KnownHere>();
  const participants = new Map<string, RemoteParticipant>();
  const processes = new Map<SourceJob, Process>();
  /** Servers that may have been made to refuse writes for good, in a cutover that may still be given up. */
  const handingOver = new Set<string>();
  const everJoined = new Set<SourceJob>();
  const changes = new Gate();
  let isOver = false;
  let hasBegun = false;

  for (const group of byServer(sources.filter(isServer), (source) => source)) addServer(group);

  function addServer(group: readonly ServerSourceFacts[]): void {
    const [first] = group as readonly [ServerSourceFacts];
    const address = addressOf(first.endpoint);
    const openWrites = openWritesOf(first, timeoutMs);
    const participant = new RemoteParticipant(address, openWrites, (handOver) => {
      if (handOver === 'begins') handingOver.add(address);
      else handingOver.delete(address);
      if (handOver === 'over') isOver = true;
      changes.check();
    });
    participants.set(address, participant);
    for (const { name, endpoint, keys } of group) {
      const job = followedJob(endpoint);
      const told = new RemoteDatabase(job);
      const all = following.add(job, {
        endpoint,
        keyCount: keys,
        changed: told,
        openSource: async () => connect(await locate(endpoint, timeoutMs), { timeoutMs }),
      });
      databases.set(job, { name, participant, told, all });
    }
  }

  function databaseOf(job: string): KnownHere {
    const database = databases.get(job);
    if (!database) throw new ImportError(`no source is called ${job}`);
    return database;
  }

  function hearStates(states: States): void {
    for (const [address, state] of Object.entries(states)) participants.get(address)?.hear(state);
  }

  function join(
    job: SourceJob,
    process: Process,
    states: States,
    joined: Readonly<Record<string, JoinedDatabase>>,
  ): void {
    process.hasJoined = true;
    everJoined.add(job);
    for (const address of Object.keys(states)) participants.get(address)?.attach(process.dialogue);
    hearStates(states);
    for (const [name, database] of Object.entries(joined)) {
      const { told, all } = databaseOf(name);
      told.attach(process.dialogue, database);
      if (database.goesOn) all.goesOn();
    }
    if (hasBegun) {
      following.searchAllSlots();
      process.dialogue.ask('begin').catch(() => undefined);
    }
    changes.check();
  }

  function answersFor(job: SourceJob, process: Process): AskedOfLead {
    return {
      joined(states, joined) {
        join(job, process, states, joined);
      },
      stands: hearStates,
      claim: (job, page) => databaseOf(job).all.claim?.(pageOf(page)) as readonly number[],
      async passOn(job, name) {
        const text = Buffer.from(name, 'base64').toString('latin1');
        const owner = databaseOf(job).all.ownerOf(text);
        if (!(owner instanceof RemoteDatabase)) return false;
        await owner.pass(text);
        return true;
      },
      async beginSearch(job) {
        const slots = await databaseOf(job).all.beginSearch();
        return slots ? [...slots] : null;
      },
      endSearch: (job) => databaseOf(job).all.endSearch(),
      absentElsewhere: async (job, page) =>
        pageOnWire(await databaseOf(job).all.absentElsewhere(pageOf(page))),
      reached(job, position, order) {
        const { told, all } = databaseOf(job);
        if (told.hasDone(order)) all.reached(position);
      },
      roundEnded(job, round, isCopied, states) {
        hearStates(states);
        databaseOf(job).all.roundEnded(roundOf(round), isCopied);
      },
    };
  }

  return {
    participants: [...participants.values()],
    async join() {
      const refused = jobs.map(async (job) => {
        const why = await start(job);
        // It has come to its end before all have joined.
        if (!hasBegun) throw new PreflightError(why ?? `${job.name} could not be followed.`);
      });
      const all = Promise.all(refused);
      const joined = changes.until(() => jobs.every((job) => processes.get(job)?.hasJoined));
      await Promise.race([joined, all]);
      all.catch(() => undefined);
    },
    async end() {
      isOver = true;
      changes.check();
      await Promise.resolve();
      for (const one of participants.values()) one.end();
    },
    meet(job, say) {
      const dialogue = new Dialogue<AskedOfJob>(say);
      const process = { dialogue, hasJoined: false };
      processes.set(job, process);
      dialogue.answer(answersFor(job, process));
      return (said) => {
        dialogue.hear(said);
      };
    },
    part(job) {
      const process = processes.get(job);
      if (!process) return;
      processes.delete(job);
      process.dialogue.end(new ImportError(`the process that followed ${job.name} died`));
      for (const { name, participant, told } of databases.values()) {
        if (!job.sources.includes(name)) continue;
        participant.detach();
        told.detach();
      }
    },
    wasJoined: (job) => everJoined.has(job),
    isJoined: (job) => processes.get(job)?.hasJoined === true,
    begin() {
      hasBegun = true;
      for (const { dialogue } of processes.values()) {
        dialogue.ask('begin').catch(() => undefined);
      }
    },
    untilOver: () => changes.until(() => isOver),
    async goesOn() {
      await changes.until(() => isOver || handingOver.size === 0);
      return !isOver;
    },
  };
}
