// A program that sets and removes a pod's capture for ever, for capture-faults.test.ts to kill at any moment. Arguments: the
// pod's folder, its enrolment as JSON. Tells its parent of each program (nft, ip) that it starts.

import { subscribe } from 'node:diagnostics_channel';
import type { Enrolment } from '../../../mesh/enrolment.ts';
import { directorySource } from '../../../node-agent/capture/find-netns.ts';
import { netnsCapture } from '../../../node-agent/capture/netns.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { silentLog } from '../../../runtime/log.ts';

subscribe('child_process', () => void process.send?.('started'));

const [directory = '', text = ''] = process.argv.slice(2);
const pod = JSON.parse(text) as Enrolment;
const driver = netnsCapture({
  clock: systemClock,
  log: silentLog,
  sources: [directorySource(directory)],
});
const capture = await driver.open(pod);
for (let round = 0; ; round++) {
  const excludeOutboundPorts = round % 2 === 0 ? [] : [{ first: 9000, last: 9000 }];
  await capture.redirect({ ...pod, capture: { ...pod.capture, excludeOutboundPorts } });
  await capture.release();
  await capture.remove();
}
