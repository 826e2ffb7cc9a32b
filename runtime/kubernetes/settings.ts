// The settings of a connection to Kubernetes, read the same way by every component that has one.

import type { SettingsReader } from '../env.ts';
import type { KubernetesSettings } from './kubeconfig.ts';

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

/** AMBIT_KUBECONFIG (and AMBIT_KUBE_CONTEXT), or else the pod's own ServiceAccount. */
export function readKubernetesSettings(env: SettingsReader): KubernetesSettings {
  const kubeconfig = env.optional('AMBIT_KUBECONFIG');
  const context = env.optional('AMBIT_KUBE_CONTEXT');
  if (kubeconfig !== undefined) {
    return { kubeconfig, ...(context === undefined ? {} : { context }) };
  }
  return {
    pod: {
      // set by Kubernetes in every container
      host: env.text('KUBERNETES_SERVICE_HOST'),
      port: env.integer('KUBERNETES_SERVICE_PORT', 443, { min: 1, max: 65535 }),
      serviceAccountDir: env.text('AMBIT_SERVICE_ACCOUNT_DIR', SERVICE_ACCOUNT_DIR),
    },
  };
}
