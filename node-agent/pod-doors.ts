// Where a captured pod's connections go: its journeys, by the door they came through. Called by pod-enrolment.ts.

import type { Socket } from 'node:net';
import type { Doors } from './capture/capture.ts';
import type { Journeys, LocalPod } from './local-pod.ts';

/** `own.dns`: whether the pod's DNS shall be answered here; it is only where there is somebody who answers. */
export function doorsOf(
  journeys: Journeys,
  pod: LocalPod,
  own: { readonly tunnel: (socket: Socket) => void; readonly dns: boolean },
): Doors {
  const { dns } = journeys;
  return {
    outbound: (captured) => journeys.outbound(pod, captured),
    passthrough: (captured) => journeys.passthrough(pod, captured),
    tunnel: own.tunnel,
    dns:
      dns === undefined || !own.dns
        ? undefined
        : {
            udp: (socket) => dns.udp(pod, socket),
            tcp: (captured) => dns.tcp(pod, captured),
          },
  };
}
