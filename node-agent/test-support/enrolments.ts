// Enrolments over a capture made by hand, which notes its steps and fails where it is told to. Used by the tests of enrolment.

import assert from 'node:assert/strict';
import { type IpAddress } from '../../mesh/address.ts';
import type { CaptureOptions } from '../../mesh/capture-options.ts';
import type { EnrolmentReport } from '../../mesh/enrolment.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Certificates } from '../../tunnel/certificates/certificates.ts';
import { createTestCa } from '../../tunnel/test-ca.ts';
import { type CaptureDriver, type PodCapture, type RepairReason } from '../capture/capture.ts';
import { Connections } from '../connections.ts';
import { Enrolments } from '../enrolment.ts';
import { enrolmentOf, issueFrom } from './world.ts';

export const POD = enrolmentOf({ name: 'web', uid: 'uid-web', addresses: ['10.0.0.1'] });
export const OTHER = enrolmentOf({ name: 'api', uid: 'uid-api', addresses: ['10.0.0.2'] });
export const GRACE_MS = 5000;
export const WATCH_MS = 10_000;

const ca = await createTestCa();

export type Step =
  | 'open'
  | 'listen'
  | 'redirect'
  | 'verify'
  | 'release'
  | 'closeDoors'
  | 'remove'
  | 'close';

/** Enrolments over a capture that notes its steps and fails where it is told to. */
export function setUp() {
  const clock = new ManualClock(Date.now());
  const steps: string[] = [];
  const failures = new Map<string, Error>();
  const gone = new Set<string>();
  const reports: EnrolmentReport[] = [];
  const left: string[] = [];
  const options: CaptureOptions[] = [];
  const changed = new Map<string, RepairReason>();
  const repaired: RepairReason[] = [];
  const enclosed = new Set<string>();
  const places: (readonly IpAddress[])[] = [];
  const told: { addresses: readonly IpAddress[] } = { addresses: [] };
  const reconsidered = { n: 0 };
  const connections = new Connections();
  const step = async (pod: string, name: Step): Promise<void> => {
    steps.push(`${pod} ${name}`);
    const failure = failures.get(`${pod} ${name}`);
    if (failure !== undefined) throw failure;
  };
  const capture: CaptureDriver = {
    async open({ name, podUid }) {
      await step(name, 'open');
      const pod: PodCapture = {
        dial: () => Promise.reject(new Error('not here')),
        udp: () => assert.fail('not here'),
        listen: () => step(name, 'listen'),
        redirect: (given) => {
          options.push(given.capture);
          places.push(given.addresses);
          return step(name, 'redirect');
        },
        release: () => step(name, 'release'),
        closeDoors: () => step(name, 'closeDoors'),
        remove: () => step(name, 'remove'),
        async verify() {
          await step(name, 'verify');
          return changed.get(name);
        },
        vanished: async () => gone.has(podUid),
        close: () => step(name, 'close'),
      };
      return pod;
    },
    leftovers: async () => [],
    close: () => {},
  };
  const certificates = new Certificates(
    { clock, log: silentLog, issue: issueFrom(ca) },
    { trustDomain: 'cluster.local', ttlSeconds: 3600 },
  );
  const enrolments = new Enrolments({
    clock,
    log: silentLog,
    capture,
    certificates,
    connections,
    journeys: {
      outbound: () => {},
      passthrough: () => {},
      inbound: () => {},
      denied: () => {},
      left: async ({ enrolment }) => void left.push(enrolment.name),
    },
    report: (report) => reports.push(report),
    leaveGraceMs: GRACE_MS,
    dnsCapture: true,
    repaired: (reason) => repaired.push(reason),
    watchIntervalMs: WATCH_MS,
    enclosures: {
      has: (podUid) => enclosed.has(podUid),
      addresses: () => told.addresses,
      reconsider: () => void reconsidered.n++,
    },
  });
  const end = async (): Promise<void> => {
    await enrolments.close();
    certificates.close();
  };
  return {
    clock,
    steps,
    failures,
    gone,
    enclosed,
    told,
    places,
    reconsidered,
    reports,
    left,
    options,
    changed,
    repaired,
    connections,
    enrolments,
    certificates,
    end,
  };
}
