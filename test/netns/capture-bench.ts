// Pods whose capture a test drives by hand, without an agent: doors that say their name, clients, name servers. Called by the
// netns tests of node-agent/capture. What a test opens is closed by tidy().

import type { Socket as UdpSocket } from 'node:dgram';
import { parseIp } from '../../mesh/address.ts';
import { CAPTURE_EVERYTHING, type CaptureOptions } from '../../mesh/capture-options.ts';
import type {
  CaptureDriver,
  Captured,
  Doors,
  PodCapture,
} from '../../node-agent/capture/capture.ts';
import { directorySource } from '../../node-agent/capture/find-netns.ts';
import { type NetnsParts, netnsCapture } from '../../node-agent/capture/netns.ts';
import { udpSocket } from '../../node-agent/capture/pod-sockets.ts';
import { inNetns, openSocket } from '../../node-agent/capture/syscalls.ts';
import { enrolmentOf } from '../../node-agent/test-support/world.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { text } from '../../tunnel/test-sockets.ts';
import { Lan, type NodeName, type Place, type Pod } from './lan.ts';

/** Doors that answer with their name and where the connection was going. */
export function namedDoors(): Doors {
  const tell =
    (name: string) =>
    ({ socket, destination }: Captured): void =>
      void socket.end(`${name} ${destination.ip} ${destination.port}`);
  return {
    outbound: tell('outbound'),
    passthrough: tell('passthrough'),
    tunnel: (socket) => void socket.end('tunnel'),
    dns: {
      udp: (socket) =>
        void socket.on('message', (question, { port, address }) =>
          socket.send(`door ${question}`, port, address),
        ),
      tcp: tell('dns'),
    },
  };
}

export class CaptureBench {
  readonly lan = new Lan();
  readonly #open: { close(): unknown }[] = [];

  driver(node: NodeName, parts: Partial<NetnsParts> = {}): CaptureDriver {
    const sources = [directorySource(this.lan.podDirectory(node))];
    return netnsCapture({
      clock: systemClock,
      log: silentLog,
      sources,
      ...parts,
    });
  }

  async open(pod: Pod, driver = this.driver(pod.node)): Promise<PodCapture> {
    return this.closing(await driver.open(enrolmentOf(pod)));
  }

  /** A captured pod, and another pod on the other node. */
  async captured(
    options: Partial<CaptureOptions> = {},
    doors = namedDoors(),
  ): Promise<{ pod: Pod; other: Pod; capture: PodCapture }> {
    const pod = this.lan.addPod('pod', 'node-a');
    const other = this.lan.addPod('other', 'node-b');
    const capture = await this.open(pod);
    await capture.listen(doors);
    await this.redirect(pod, capture, options);
    return { pod, other, capture };
  }

  redirect(pod: Pod, capture: PodCapture, options: Partial<CaptureOptions> = {}): Promise<void> {
    return capture.redirect({
      ...enrolmentOf(pod),
      capture: { ...CAPTURE_EVERYTHING, ...options },
    });
  }

  /** What a client in `from` is told. */
  async reach(from: Place, host: string, port: number): Promise<string> {
    const socket = await this.lan.connect(from, host, port);
    const answer = await text(socket);
    socket.end();
    return answer;
  }

  udpIn(pod: Pod, ip: string, port = 0, mark?: number): UdpSocket {
    const family = ip.includes(':') ? 'ipv6' : 'ipv4';
    const bind = { ip: parseIp(ip), port };
    const fd = inNetns(pod.netns, () =>
      openSocket({ kind: 'udp', family, bind, ...(mark === undefined ? {} : { mark }) }),
    );
    return this.closing(udpSocket(family, fd));
  }

  closing<T extends { close(): unknown }>(what: T): T {
    this.#open.push(what);
    return what;
  }

  /** Closed by the test itself. */
  closed(what: { close(): unknown }): void {
    what.close();
    this.#open.splice(this.#open.indexOf(what), 1);
  }

  async tidy(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((one) => one.close()));
  }

  end(): void {
    this.lan.close();
  }
}
