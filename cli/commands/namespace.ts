// `ambit namespace add|remove NAME`: sets or takes away the label that `kubectl label namespace` would.

import { connectKubernetes, type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import { NAMESPACES } from '../../runtime/kubernetes/resources.ts';
import { CommandFailure } from '../exit.ts';
import type { ClusterOptions } from './cluster-options.ts';

const MODE_LABEL = 'ambit-mesh.io/mode';

export async function addNamespace(name: string, options: ClusterOptions): Promise<number> {
  await label(await connectKubernetes(options), name, 'ambient');
  process.stdout.write(
    `namespace/${name} is in the mesh: its pods join without a restart. See them: ambit status\n`,
  );
  return 0;
}

export async function removeNamespace(name: string, options: ClusterOptions): Promise<number> {
  await label(await connectKubernetes(options), name, null);
  process.stdout.write(
    `namespace/${name} has left the mesh: open connections go on, new ones are plain TCP\n`,
  );
  return 0;
}

async function label(client: KubeClient, name: string, mode: 'ambient' | null): Promise<void> {
  try {
    await client.patch(NAMESPACES, name, undefined, {
      metadata: { labels: { [MODE_LABEL]: mode } },
    });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) {
      throw new CommandFailure(
        `Cannot change namespace "${name}": it does not exist. See them: kubectl get namespaces`,
        {
          cause: error,
        },
      );
    }
    throw error;
  }
}
