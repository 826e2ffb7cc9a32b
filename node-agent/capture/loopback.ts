// Capture where the kernel has no network namespaces: a pod is an address of 127.0.0.0/8, and a hook in its programs leads
// their connections here while `redirect.json` is there, each opened with a PROXY protocol v2 header that names both
// ends. Called by enrolment.ts in the sandbox's loopback mode. Plaintext that arrives for a pod is not captured, nor is DNS.

import { createSocket } from 'node:dgram';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { IpAddress } from '../../mesh/address.ts';
import { OUTBOUND_PORT, TUNNEL_PORT } from '../../mesh/own-ports.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { dial } from '../../tunnel/socket.ts';
import {
  type CaptureDriver,
  CaptureError,
  type Doors,
  type PodCapture,
  type PodPlace,
  podName,
} from './capture.ts';
import { type Listener, listen } from './listener.ts';
import { takeProxyHeader } from './proxy-header.ts';

const REDIRECT_FILE = 'redirect.json';

export type LoopbackParts = { readonly clock: Clock; readonly log?: Log };

/** `directory` is the one the sandbox's kubelets keep, with one folder a pod. */
export function loopbackCapture(
  parts: LoopbackParts,
  settings: { readonly directory: string },
): CaptureDriver {
  return {
    async open(pod) {
      const [address] = pod.addresses;
      const folder = join(settings.directory, pod.podUid);
      if (address === undefined || !(await isFolder(folder))) {
        throw new CaptureError(
          'NoNetworkNamespace',
          `Cannot find the network of pod ${podName(pod)} at ${folder} on this node: check that the pod is running`,
        );
      }
      return loopbackPod(parts, pod, address, folder);
    },
    close() {},
    async leftovers(wanted) {
      const names = await readdir(settings.directory).catch(() => []);
      const unwanted = names.filter((name) => !wanted.has(name));
      const files = unwanted.map((podUid) => ({
        podUid,
        file: join(settings.directory, podUid, REDIRECT_FILE),
      }));
      const there = await Promise.all(files.map(({ file }) => isFile(file)));
      return files
        .filter((_, index) => there[index])
        .map(({ podUid, file }) => {
          const remove = (): Promise<void> => rm(file, { force: true });
          return { podUid, release: remove, remove, close: async () => {} };
        });
    },
  };
}

function loopbackPod(
  parts: LoopbackParts,
  pod: PodPlace,
  address: IpAddress,
  folder: string,
): PodCapture {
  const file = join(folder, REDIRECT_FILE);
  let listeners: Listener[] = [];

  const listenOn = async (
    port: number,
    onConnection: (socket: Socket) => void,
  ): Promise<Listener> => {
    try {
      return await listen({ host: address, port }, onConnection);
    } catch (cause) {
      const taken = cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE';
      throw new CaptureError(
        taken ? 'PortTaken' : 'CaptureFailed',
        `Cannot listen on port ${port} of pod ${podName(pod)} (${address}): ${taken ? 'a program in the pod already does; let it use another port, or opt the pod out with the label ambit-mesh.io/mode=none' : String(cause)}`,
        { cause },
      );
    }
  };
  const closeDoors = async (): Promise<void> => {
    const closing = listeners;
    listeners = [];
    await Promise.all(closing.map((listener) => listener.close()));
  };
  const redirection = JSON.stringify({ outbound: { host: address, port: OUTBOUND_PORT } });
  const writeRedirection = async (): Promise<void> => {
    try {
      // readers look at each connect: they must see all of it or nothing
      await writeFile(`${file}.tmp`, redirection);
      await rename(`${file}.tmp`, file);
    } catch (cause) {
      throw new CaptureError(
        'CaptureFailed',
        `Cannot redirect the connections of pod ${podName(pod)}: cannot write ${file}`,
        { cause },
      );
    }
  };
  const removeFile = (): Promise<void> => rm(file, { force: true });
  return {
    dial: (target, signal) => dial(parts, { to: target.to, from: target.from ?? address }, signal),
    udp: (family) => createSocket(family === 'ipv6' ? 'udp6' : 'udp4'),
    async listen(doors: Doors) {
      if (listeners.length > 0) return;
      const opened = [
        await listenOn(OUTBOUND_PORT, (socket) => {
          void takeProxyHeader(parts, socket).then(
            ({ source, destination }) => doors.outbound({ socket, source, destination }),
            () => socket.resetAndDestroy(),
          );
        }),
      ];
      try {
        opened.push(await listenOn(TUNNEL_PORT, (socket) => doors.tunnel(socket)));
      } catch (error) {
        await Promise.all(opened.map((listener) => listener.close()));
        throw error;
      }
      listeners = opened;
    },
    async redirect({ capture: options }) {
      // what arrives is not captured here anyway
      const { excludeOutboundPorts: ports, excludeOutboundCidrs: cidrs, dns } = options;
      if (ports.length > 0 || cidrs.length > 0 || dns === 'on') {
        parts.log?.warn(
          'Loopback mode captures all that a pod sends by TCP, and no DNS: its annotations do not hold',
          { pod: podName(pod) },
        );
      }
      await writeRedirection();
    },
    async verify() {
      if ((await readFile(file, 'utf8').catch(() => '')) === redirection) return undefined;
      await writeRedirection();
      return 'rules-changed';
    },
    release: removeFile,
    closeDoors,
    remove: removeFile,
    vanished: async () => !(await isFolder(folder)),
    close: closeDoors,
  };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
