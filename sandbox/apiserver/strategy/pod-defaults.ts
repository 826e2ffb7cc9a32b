// Defaults of a pod that depend on its other fields; fixed ones are in the schema. Also used for pod templates.

import { isRecord, type JsonObject, listAt, recordAt } from '../object.ts';

export function fillPodDefaults(spec: JsonObject): void {
  const containers = [...listAt(spec, 'containers'), ...listAt(spec, 'initContainers')];
  for (const container of containers.filter(isRecord)) {
    container['imagePullPolicy'] ??= pullPolicyOf(String(container['image'] ?? ''));
    requestWhatIsLimited(container);
    if (spec['hostNetwork'] !== true) continue;
    for (const port of listAt(container, 'ports').filter(isRecord)) {
      port['hostPort'] ??= port['containerPort'];
    }
  }
  // the old name of the field is kept in step
  if (spec['serviceAccountName'] === undefined && typeof spec['serviceAccount'] === 'string') {
    spec['serviceAccountName'] = spec['serviceAccount'];
  }
  if (typeof spec['serviceAccountName'] === 'string') {
    spec['serviceAccount'] = spec['serviceAccountName'];
  }
}

/** An image without a fixed tag may change at any time. */
function pullPolicyOf(image: string): string {
  if (image.includes('@')) return 'IfNotPresent';
  const last = image.slice(image.lastIndexOf('/') + 1);
  const tag = last.includes(':') ? last.slice(last.indexOf(':') + 1) : 'latest';
  return tag === 'latest' ? 'Always' : 'IfNotPresent';
}

function requestWhatIsLimited(container: JsonObject): void {
  const resources = recordAt(container, 'resources');
  const limits = recordAt(resources, 'limits');
  if (Object.keys(limits).length === 0) return;
  resources['requests'] = { ...limits, ...recordAt(resources, 'requests') };
}
