import { describe, expect, it } from 'vitest';
import { giantsIn } from '../../../src/redis/sizes.js';

const text = (...lines: string[]): string => ['# Keysizes', ...lines, ''].join('\r\n');

describe('the giants of a database', () => {
  it('are counted from the sizes at which they make clients wait', () => {
    const told = text(
      'db0_distrib_strings_sizes:1=20,8M=3,16M=2,1G=1',
      'db0_distrib_lists_items:8K=4,16K=5',
      'db0_distrib_hashes_items:0=1,1=7,1M=1',
      'db1_distrib_sets_items:64K=9',
      'db10_distrib_zsets_items:64K=9',
    );
    expect(giantsIn(told, 0)).toEqual({ strings: 3, others: 6 });
    expect(giantsIn(told, 1)).toEqual({ strings: 0, others: 9 });
    expect(giantsIn(told, 2)).toEqual({ strings: 0, others: 0 });
  });

  it('are not known of a server that does not tell', () => {
    expect(giantsIn(text(), 0)).toEqual({ strings: 0, others: 0 });
    expect(giantsIn('', 0)).toBeUndefined();
  });
});
