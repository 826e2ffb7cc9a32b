// The node's rules for kubelet probes as text; what they do to connections is tested in network namespaces.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { probeRemoval, probeRules } from './probe-bypass.ts';

const [V4, OTHER, V6] = ['10.0.0.1', '10.0.0.2', 'fd00::1'].map(parseIp);
const lines = (text: string): string[] => text.trim().split('\n');

describe('probeRules()', () => {
  test('match processes of root on the node only, and both families, before anybody masquerades', () => {
    const text = probeRules([V4!]);
    const rules = lines(text).filter((line) => line.startsWith('add rule'));
    assert.deepEqual(rules, [
      'add rule inet ambit-probes from_node ip daddr @pods4 meta l4proto tcp meta skuid 0 snat ip to 169.254.7.127',
      'add rule inet ambit-probes from_node ip6 daddr @pods6 meta l4proto tcp meta skuid 0 snat ip6 to fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
    ]);
    assert.match(text, /type nat hook postrouting priority 90; policy accept;/);
    assert.ok(
      lines(text).indexOf('flush chain inet ambit-probes from_node') <
        lines(text).indexOf(rules[0]!),
    );
  });

  test('name each pod in the set of its family', () => {
    const elements = lines(probeRules([V4!, V6!, OTHER!])).filter((line) =>
      line.includes('element'),
    );
    assert.deepEqual(elements, [
      'add element inet ambit-probes pods4 { 10.0.0.1, 10.0.0.2 }',
      'add element inet ambit-probes pods6 { fd00::1 }',
    ]);
  });

  test('drop who is there and who is not, without failing', () => {
    const elements = lines(probeRules([V4!], [OTHER!])).filter((line) => line.includes('element'));
    assert.deepEqual(elements, [
      'add element inet ambit-probes pods4 { 10.0.0.1, 10.0.0.2 }',
      'delete element inet ambit-probes pods4 { 10.0.0.2 }',
    ]);
  });

  test('have a removal that does not mind when there is nothing', () => {
    assert.equal(probeRemoval(), 'add table inet ambit-probes\ndelete table inet ambit-probes\n');
  });
});
