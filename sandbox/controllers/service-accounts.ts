// What every namespace is born with: the ServiceAccount `default`, and the API server's CA for the pods to trust.

import { CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import { same } from './hash.ts';
import type { KubeObject, Labels, Namespace } from './objects.ts';
import { type Action, type Controller, NOTHING, nameOf, type Plan } from './plan.ts';
import { isTerminating } from './pods.ts';
import { typeMetaOf } from './resources.ts';

const ROOT_CA = 'kube-root-ca.crt';

type ConfigMap = KubeObject & { readonly data?: Labels };

export function serviceAccounts(settings: { readonly caPem: string }): Controller {
  return {
    name: 'serviceaccount-controller',
    watches: [
      { resource: NAMESPACES, keys: ({ metadata }) => [`/${metadata.name}`] },
      {
        resource: SERVICE_ACCOUNTS,
        keys: ({ metadata }) => (metadata.name === 'default' ? [`/${metadata.namespace}`] : []),
      },
      {
        resource: CONFIG_MAPS,
        keys: ({ metadata }) => (metadata.name === ROOT_CA ? [`/${metadata.namespace}`] : []),
      },
    ],
    reconcile: (key, observed) => furnish(nameOf(key).name, observed, settings.caPem),
  };
}

export function furnish(name: string, observed: Observed, caPem: string): Plan {
  const namespace = observed.get<Namespace>(NAMESPACES, name);
  if (namespace === undefined || isTerminating(namespace)) return NOTHING;
  if (namespace.status?.phase === 'Terminating') return NOTHING;
  const actions: Action[] = [];
  if (observed.get(SERVICE_ACCOUNTS, 'default', name) === undefined) {
    const metadata = { name: 'default', namespace: name };
    const object = { ...typeMetaOf(SERVICE_ACCOUNTS), metadata };
    actions.push({ verb: 'create', resource: SERVICE_ACCOUNTS, object });
  }
  const data = { 'ca.crt': caPem };
  const root = observed.get<ConfigMap>(CONFIG_MAPS, ROOT_CA, name);
  if (root === undefined) {
    const object = {
      ...typeMetaOf(CONFIG_MAPS),
      metadata: { name: ROOT_CA, namespace: name },
      data,
    };
    actions.push({ verb: 'create', resource: CONFIG_MAPS, object });
  } else if (!same(root.data, data)) {
    actions.push({
      verb: 'update',
      resource: CONFIG_MAPS,
      object: { ...root, data } as KubeObject,
    });
  }
  return { actions };
}
