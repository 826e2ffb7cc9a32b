// Plaintext arrives for a pod of this node: from a client outside the mesh, so without an identity. The whole journey is
// admitPlain(). Called by journeys.ts for each connection to port 15006.

import { formatIpPort, type IpPort } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { OWN_PORTS } from '../mesh/own-ports.ts';
import { admit } from '../mesh/permit.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { Workload } from '../mesh/workload.ts';
import { splice } from '../tunnel/splice.ts';
import type { Captured } from './capture/capture.ts';
import type { Connections } from './connections.ts';
import { decide, decideAgain, type PolicyView } from './decide.ts';
import { asSeenBy, serviceOfPort } from './inbound.ts';
import { socketLeg } from './leg.ts';
import type { LocalPod } from './local-pod.ts';
import type { Trails } from './trail.ts';

export type PassthroughSteps = {
  readonly trails: Trails;
  readonly connections: Connections;
  readonly snapshot: () => Snapshot;
  readonly policy: PolicyView;
};

export async function admitPlain(
  pod: LocalPod,
  captured: Captured,
  steps: PassthroughSteps,
): Promise<void> {
  const { socket, source, destination } = captured;
  const trail = steps.trails.begin({ direction: 'inbound', source, destination });
  try {
    const snapshot = steps.snapshot();
    const workload = classifyPlain(pod, destination, snapshot);
    trail.learn({
      // who it may be, looked up by address: for telemetry, never for policy
      sourceWorkload: snapshot.workloadByIp(workload.network, source.ip),
      destinationWorkload: workload,
      service: serviceOfPort(workload, destination.port, snapshot),
    });
    const asked = { peer: undefined, source, destination };
    using registered = steps.connections.register({
      direction: 'inbound',
      podUid: pod.enrolment.podUid,
      trail,
      description: {
        src: formatIpPort(source),
        originalDst: formatIpPort(destination),
        protocol: 'tcp',
      },
      check: () => void admit(asked, decideAgain(steps.policy, pod, asked)),
    });
    const decision = decide(steps.policy, pod, asked);
    trail.learn({ decision });
    const permit = admit(asked, decision);
    const app = await pod.dial(asSeenBy(permit.destination, source), registered.signal);
    trail.established();
    const end = await splice(socketLeg(socket), socketLeg(app), trail.counts, registered.signal);
    if (end === 'aborted') throw registered.signal.reason;
    trail.end();
  } catch (error) {
    trail.end(error);
    socket.resetAndDestroy();
  }
}

function classifyPlain(pod: LocalPod, destination: IpPort, snapshot: Snapshot): Workload {
  const name = formatIpPort(destination);
  if (OWN_PORTS.has(destination.port)) {
    throw new MeshError(
      'RECURSION',
      `Refused a connection to ${name}: the port is the node agent's own`,
    );
  }
  const workload = snapshot.workloadByUid(pod.enrolment.workloadUid);
  if (workload === undefined || !workload.addresses.includes(destination.ip)) {
    throw new MeshError(
      'DESTINATION_UNKNOWN',
      `Refused a connection to ${name}: it is not ${pod.enrolment.workloadUid}`,
    );
  }
  return workload;
}
