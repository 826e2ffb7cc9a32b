// Run inside a pod by end-to-end tests: asks the Kubernetes API for one object, as a component in a pod would.
// Prints how it was answered.

import { SettingsReader } from '../../../runtime/env.ts';
import { connectKubernetes, KubeError } from '../../../runtime/kubernetes/client.ts';
import { NODES } from '../../../runtime/kubernetes/resources.ts';
import { readKubernetesSettings } from '../../../runtime/kubernetes/settings.ts';

try {
  const client = await connectKubernetes(readKubernetesSettings(new SettingsReader(process.env)));
  await client.list(NODES);
  process.stdout.write('200\n');
} catch (error) {
  if (!(error instanceof KubeError)) throw error;
  process.stdout.write(`${error.status} ${error.message}\n`);
}
process.exit();
