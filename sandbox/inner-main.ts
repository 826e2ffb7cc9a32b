// The sandbox's inner process: runs the whole cluster in the isolation that launch.ts gave it, and says when it is up.
// Started only by launch.ts. Its log is a file in the sandbox's directory, for the terminal belongs to the outer process.

import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../runtime/clock.ts';
import { createLog } from '../runtime/log.ts';
import { startCluster } from './cluster.ts';
import { DUTIES } from './controllers/duty.ts';
import { installManifests, MESH_FOLDERS } from './install.ts';
import { innerSandbox } from './launch/inner.ts';
import { serveLink } from './link-service.ts';

const inner = innerSandbox(process.env);
if (inner === undefined) {
  process.stderr.write('Cannot start: this program is started by "ambit sandbox up"\n');
  process.exit(2);
}
const [nodes = '2', mesh = 'mesh', controllers = 'all'] = process.argv.slice(2);
const logFile = createWriteStream(join(inner.directory, 'sandbox.log'), { flags: 'a' });
const log = createLog({ component: 'sandbox', write: (line) => logFile.write(line) });
// a fault in one pod's work must not take the cluster down
process.on('unhandledRejection', (error) => log.error('Unhandled rejection', { error }));
process.on('uncaughtException', (error) => log.error('Uncaught exception', { error }));

try {
  const cluster = await startCluster(
    { clock: systemClock, log, progress: inner.progress },
    {
      name: inner.name,
      nodes: Number(nodes),
      network: inner.mode,
      stateDir: inner.directory,
      api: inner.api,
      controllers: DUTIES.find((duty) => duty === controllers) ?? 'all',
    },
  );
  const linkSocket = join(inner.directory, 'link.sock');
  const link = await serveLink(cluster.network, linkSocket);
  if (mesh === 'mesh') {
    inner.progress('mesh');
    await installManifests(cluster.client, MESH_FOLDERS, inner.stop);
  }
  inner.ready({ kubeconfig: cluster.kubeconfigPath, linkSocket, mode: inner.mode });
  if (!inner.stop.aborted) {
    await new Promise((resolve) => inner.stop.addEventListener('abort', resolve, { once: true }));
  }
  await link.close();
  await cluster.close();
} catch (error) {
  log.error('Failed', { error });
  process.stderr.write(`Error: ${explain(error)}\n`);
  process.exitCode = 1;
}
inner.close();
process.exit();

function explain(error: unknown): string {
  const causes: string[] = [];
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    causes.push(cause.message);
  return causes.length === 0 ? String(error) : causes.join(': ');
}
