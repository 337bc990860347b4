import { expect, it } from 'vitest';
import { released } from '../../../scripts/changelog.mjs';

const changelog =
  '# Changelog\n\n## Pending\n\n### Added\n\n- one\n\n## 0.1.0 (2026-01-01)\n\n- old\n';

it('makes a section of what is pending', () => {
  expect(released(changelog, '0.2.0', '2026-11-29')).toBe(
    '# Changelog\n\n## Pending\n\n## 0.2.0 (2026-11-29)\n\n### Added\n\n- one\n\n## 0.1.0 (2026-01-01)\n\n- old\n',
  );
});

it('refuses a release of nothing, and one that there was', () => {
  const again = released(changelog, '0.2.0', '2026-11-29');
  expect(() => released(again, '0.3.0', '2026-11-30')).toThrow('nothing under "Pending"');
  expect(() => released(changelog, '0.1.0', '2026-11-29')).toThrow('has 0.1.0 already');
});
