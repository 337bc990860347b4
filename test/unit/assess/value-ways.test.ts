import { describe, expect, it } from 'vitest';
import { type NodeFacts, waysOf } from '../../../src/assess/value-sample.js';

const alike: NodeFacts = {
  refusal: undefined,
  rewrite: undefined,
  unknownTypes: new Set(),
  fieldDeadlines: true,
  streams: true,
};
const refusing: NodeFacts = {
  ...alike,
  refusal: 'it is newer',
  rewrite: { version: 11, types: Uint8Array.from({ length: 256 }, (_, type) => Number(type < 24)) },
};

const way = (type: string, payloadType: number | undefined, nodes: NodeFacts) =>
  waysOf([{ type, payloadType, count: 1 }], nodes, 100).map((one) => one.way)[0];

describe('the way of a value', () => {
  it.each([
    ['string', undefined, refusing, 'whole'],
    ['hash', 16, alike, 'whole'],
    ['hash', 16, refusing, 'rewritten'],
    ['hash', undefined, refusing, 'rewritten'],
    ['hash', 25, refusing, 'elements'],
    ['hash', 25, { ...refusing, fieldDeadlines: false }, 'stays'],
    ['hash', 16, { ...refusing, fieldDeadlines: false }, 'rewritten'],
    ['hash', 16, { ...refusing, rewrite: undefined }, 'elements'],
    ['stream', 21, { ...refusing, streams: false }, 'stays'],
    ['vectorset', 7, alike, 'whole'],
    ['vectorset', 7, { ...alike, unknownTypes: new Set(['vectorset']) }, 'stays'],
    ['vectorset', 7, refusing, 'stays'],
  ] as const)('of type %s, in payloads %s', (type, payloadType, nodes, expected) => {
    expect(way(type, payloadType, nodes)).toBe(expected);
  });

  it('counts as many keys as its share of the sample', () => {
    const sample = [
      { type: 'hash', payloadType: 16, count: 60 },
      { type: 'hash', payloadType: 4, count: 20 },
      { type: 'hash', payloadType: 24, count: 5 },
      { type: 'string', payloadType: undefined, count: 115 },
    ];
    expect(waysOf(sample, refusing, 2_000_000)).toEqual([
      { way: 'whole', type: 'string', keys: 1_150_000 },
      { way: 'rewritten', type: 'hash', keys: 800_000 },
      { way: 'elements', type: 'hash', keys: 50_000 },
    ]);
    expect(waysOf([], refusing, 0)).toEqual([]);
  });
});
