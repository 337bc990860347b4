/** What is wrong with a cluster is seen in what its nodes say of themselves and of each other. */
import { expect, it } from 'vitest';
import { buildCheckReport } from '../../../src/check/check-report.js';
import { problemsOf } from '../../../src/check/problems.js';
import type { Survey } from '../../../src/check/survey.js';
import { ownLine, parseNodes } from '../../../src/redis/topology.js';

const a = 'a'.repeat(40);
const b = 'b'.repeat(40);
const c = 'c'.repeat(40);
const soundA = `${a} 10.0.0.1:7000@17000,one.example myself,master - 0 0 1 connected 0-8191`;
const soundB = `${b} 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383`;
const replica = `${c} fd00::3:7000@17000 slave ${a} 0 0 1 connected`;

/** What each of the first two nodes says. */
function surveyOf(byA: string, byB: string): Survey {
  const views = [byA, byB].map((text) => parseNodes(text, '10.0.0.9'));
  const nodes = views.map((view, at) => ({
    id: [a, b][at] ?? '',
    address: `10.0.0.${String(at + 1)}:7000`,
    endpoint: { host: '10.0.0.1', port: 7000, tls: false, db: 0 },
    view,
    own: ownLine(view),
    trouble: undefined,
    state: 'ok',
    masterLink: undefined,
    streamOffset: undefined,
    product: undefined,
    keys: undefined,
    memory: undefined,
    strays: [],
  }));
  return { seed: '10.0.0.1:7000', lines: views[0] ?? [], nodes };
}

const asOwn = (line: string): string => line.replace(/ (myself,)?master/, ' myself,master');
const asOther = (line: string): string => line.replace('myself,', '');

it('reads addresses of all forms, slots, and slots that are open', () => {
  const [line] = parseNodes(
    `${a} :7000@17000 myself,master - 0 0 7 connected 0-5 9 [7->-${b}] [8-<-${c}]`,
    '10.0.0.9',
  );
  expect(line).toMatchObject({ place: { host: '10.0.0.9', port: 7000 }, epoch: 7 });
  expect(line?.slots).toEqual([
    [0, 5],
    [9, 9],
  ]);
  expect([...(line?.migrating ?? [])]).toEqual([[7, b]]);
  expect([...(line?.importing ?? [])]).toEqual([[8, c]]);
  expect(parseNodes(replica, '')[0]?.place).toEqual({ host: 'fd00::3', port: 7000 });
});

it('finds nothing wrong with two that agree', () => {
  const survey = surveyOf(
    [soundA, soundB, replica].join('\n'),
    [asOther(soundA), asOwn(soundB), replica].join('\n'),
  );
  expect(problemsOf(survey).map(({ kind, node }) => [kind, node])).toEqual([
    ['no-replicas', '10.0.0.2:7000'],
  ]);
});

it('finds two masters that claim the same slots', () => {
  const greedy = soundB.replace('8192-16383', '8000-16383');
  const survey = surveyOf(`${soundA}\n${soundB}`, `${asOther(soundA)}\n${asOwn(greedy)}`);
  const problems = problemsOf(survey);
  expect(problems.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['slots-disputed', 'views-differ']),
  );
  expect(problems.find(({ kind }) => kind === 'slots-disputed')).toMatchObject({
    count: 192,
    message: 'More than one master claims 192 slots (8000-8191): 10.0.0.1:7000, 10.0.0.2:7000.',
  });
});

it('finds epochs that collide, and nodes that others have given up', () => {
  const late = soundB.replace(' 0 0 2 ', ' 0 0 1 ');
  const failed = late.replace(' master', ' master,fail?');
  const survey = surveyOf(`${soundA}\n${failed}`, `${asOther(soundA)}\n${asOwn(late)}`);
  const kinds = problemsOf(survey).map(({ kind }) => kind);
  expect(kinds).toContain('epochs-collide');
  expect(kinds).toContain('node-failing');
});

it('counts no slots to a node that is down, though the others still do', () => {
  const { nodes, ...rest } = surveyOf(`${soundA}\n${soundB}`, '');
  const down = nodes.map((node) => ({ ...node, ...(node.id === b && { own: undefined }) }));
  const { ownerless } = buildCheckReport({ ...rest, nodes: down }, undefined, '1');
  expect(ownerless).toEqual({ count: 8192, slots: '8192-16383' });
});
