// Loaded by `node --import` into every process of a pod in loopback mode: from then on the process's sockets and lookups
// behave as if it were in a network namespace of its own. AMBIT_LOOPBACK names the file that says where the pod is.
// Invariant: the process does not outlive its sandbox.

import { syncBuiltinESMExports } from 'node:module';
import { connect } from 'node:net';
import type { View } from './loopback/decide.ts';
import { installNamesHook } from './loopback/names-hook.ts';
import { type Redirect, readPlace, type ServiceTable, WatchedFile } from './loopback/place.ts';
import { DNS_PORT, dnsAddress, LIFELINE_PORT, lifelineAddress, realPort } from './loopback/plan.ts';
import { installTcpHook } from './loopback/tcp-hook.ts';
import { installUdpHook } from './loopback/udp-hook.ts';

const path = process.env['AMBIT_LOOPBACK'];
// without it the process is none of a pod: e.g. a tool that inherited NODE_OPTIONS
if (path !== undefined && path !== '') enterPod(path);

function enterPod(file: string): void {
  const place = readPlace(file);
  const services = new WatchedFile<ServiceTable>(place.servicesFile);
  const redirect =
    place.redirectFile === null ? undefined : new WatchedFile<Redirect>(place.redirectFile);
  const view = (): View => ({ place, services: services.read(), redirect: redirect?.read() });

  const lifeline = connect({ host: lifelineAddress(place), port: LIFELINE_PORT });
  lifeline.unref();
  lifeline.on('error', () => {});
  // a namespace's processes are killed with it; these must end themselves
  lifeline.on('close', () => process.kill(process.pid, 'SIGKILL'));

  installTcpHook(view, Math.random);
  installUdpHook(view, Math.random);
  installNamesHook({
    server: `${dnsAddress(place)}:${realPort(DNS_PORT, place.lowPortsShifted)}`,
    localAddress: place.address,
    search: place.search,
  });
  syncBuiltinESMExports();
}
