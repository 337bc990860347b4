/** Which mover a run takes, and why: the report says so. */
import { PreflightError } from '../errors.js';
import type {
  ImportOptions,
  JobOptions,
  LimitOptions,
  SafetyOptions,
  SelectionOptions,
  TransferOptions,
} from '../options/options.js';
import { mayEvict } from '../redis/memory.js';
import { nameOf } from '../redis/server.js';
import type { SourcePlan } from '../plan/preflight.js';
import type { WaitOptions } from '../plan/options-checks.js';
import type { MoverChoice } from '../types.js';
import { waitsForReplicas } from './replicas.js';

/** What decides which mover a run takes. */
export type ChoiceOptions = JobOptions &
  TransferOptions &
  SafetyOptions &
  LimitOptions &
  Pick<SelectionOptions, 'keyPrefix'>;

export interface Choice {
  readonly name: MoverChoice;
  readonly reason: string;
}

/** @throws PreflightError when the mover that was asked for can't work between these servers. */
export function chooseMover(plan: SourcePlan, options: ChoiceOptions): Choice {
  if (options.follow) return { name: 'relay', reason: 'it copies changed keys again (--follow)' };
  if (options.mover === 'relay') return { name: 'relay', reason: 'asked for with --mover' };
  const obstacle = obstacleToMigrate(plan, options);
  if (options.mover === 'migrate') {
    if (obstacle === undefined) return { name: 'migrate', reason: 'asked for with --mover' };
    throw new PreflightError(
      `--mover migrate can't be used with ${plan.source.name}: ${obstacle}; leave --mover out, or pass --mover relay.`,
    );
  }
  if (obstacle !== undefined) return { name: 'relay', reason: obstacle };
  if (waitsForReplicas(plan, options)) {
    return { name: 'relay', reason: 'MIGRATE does not wait for replicas before it deletes' };
  }
  const { masters } = plan.target;
  if (!options.copy && !options.allowEviction && masters.some(({ memory }) => mayEvict(memory))) {
    return { name: 'relay', reason: 'MIGRATE deletes before nodes are asked whether they evict' };
  }
  if (typeof options.maxSourceLatencyMs === 'number') {
    return { name: 'relay', reason: 'MIGRATE can not keep to --max-source-latency' };
  }
  if (options.maxRate !== undefined || options.maxBandwidth > 0) {
    const flag = options.maxRate === undefined ? '--max-bandwidth' : '--max-rate';
    return { name: 'relay', reason: `not measured, because ${flag} holds the run back` };
  }
  return { name: 'auto', reason: '' };
}

/** What a run by MIGRATE does not protect from though the relay would; undefined: nothing. */
export function riskOfMigrate(
  target: SourcePlan['target'],
  options: WaitOptions & Pick<ImportOptions, 'dryRun' | 'mover'>,
): string | undefined {
  if (options.mover !== 'migrate' || options.copy || options.dryRun) return undefined;
  if (!waitsForReplicas({ target }, options)) return undefined;
  return (
    'MIGRATE does not wait for replicas or disks: the source deletes each key as soon as its node has it, ' +
    'so a node that fails right then takes it along; leave --mover out, or pass --mover relay, and that is waited for.'
  );
}

/** Why MIGRATE can't do what was asked for between these servers. */
function obstacleToMigrate(plan: SourcePlan, options: ChoiceOptions): string | undefined {
  const { has, payloadRefusal, payloadRewrite } = plan.source;
  const name = nameOf(plan.source);
  if (payloadRewrite) {
    return `payloads are passed on as version ${String(payloadRewrite.version)}, which MIGRATE can't do (${payloadRefusal ?? ''})`;
  }
  if (payloadRefusal !== undefined) {
    return `values travel element by element, because payloads of ${name} are refused (${payloadRefusal})`;
  }
  if (options.verify) return 'MIGRATE deletes before anything could be compared (--verify)';
  if (options.splitAboveBytes !== undefined) return 'MIGRATE can not split values (--split-above)';
  const { strings = 0, others = 0 } = plan.source.giants ?? {};
  if (options.mover === 'auto' && strings + others > 0) {
    return 'some values are so large that they have to travel in slices';
  }
  if (options.keyPrefix !== undefined) return 'MIGRATE can not rename keys';
  if (plan.source.inCluster) return 'MIGRATE of a cluster takes keys of one slot at a time';
  if (plan.source.readOnly) return 'a read-only replica refuses MIGRATE';
  if (!has.migrate) return 'it has no command MIGRATE, or does not let us use it';
  if (options.copy && !has.migrateCopy) return `MIGRATE of ${name} can't copy`;
  if (options.replace === true && !has.migrateCopy) return `MIGRATE of ${name} can't overwrite`;
  const { tls, username, password } = plan.target.topology.endpointOf({ host: '', port: 0 });
  if (tls !== plan.source.migratesOverTls) {
    return tls
      ? 'its MIGRATE speaks TLS to nodes only when it is set to "tls-cluster yes"'
      : 'it is set to "tls-cluster yes", so its MIGRATE would speak TLS to nodes that don\'t';
  }
  if (password !== undefined && !has.migrateAuth) {
    return `MIGRATE of ${name} can't give the nodes a password`;
  }
  if (username !== undefined && username !== 'default' && !has.migrateAuth2) {
    return `MIGRATE of ${name} can't log in to the nodes as user ${username}`;
  }
  if (options.mover === 'auto' && !has.migrateKeys) {
    return `MIGRATE of ${name} moves one key at a time`;
  }
  return undefined;
}
