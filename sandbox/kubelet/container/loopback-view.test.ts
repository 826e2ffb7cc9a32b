import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rewriter } from './loopback-view.ts';

const rewrite = rewriter([
  { target: '/var/run/secrets', source: '/s/secrets' },
  { target: '/var/run/secrets/tokens', source: '/s/tokens' },
  { target: '/run/ambit/', source: '/s/ambit' },
]);

for (const [text, expected] of [
  ['/var/run/secrets', '/s/secrets'],
  ['/var/run/secrets/tokens/t', '/s/tokens/t'],
  ['/run/secrets/x', '/s/secrets/x'],
  ['/var/run/ambit/pods', '/s/ambit/pods'],
  ['--token=/run/secrets/tokens/t', '--token=/s/tokens/t'],
  ['/var/run/secretsauce', '/var/run/secretsauce'],
  ['see /var/run/secrets', 'see /var/run/secrets'],
  ['', ''],
] as const) {
  test(`"${text}" becomes "${expected}"`, () => assert.equal(rewrite(text), expected));
}
