// Pod -> Enrolment: what the agent of the pod's node is asked to do, from the moment the pod is bound to the node, so that
// the agent knows of it before the pod's first container starts; its addresses follow. Pure.

import type { Enrolment, PodDns } from '../../mesh/enrolment.ts';
import type { KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import { captureOptionsOf } from './capture-options.ts';
import { addressesOf, isWanted } from './mode.ts';
import { readIps } from './service.ts';
import { accountOf, workloadUid } from './workload.ts';

/** undefined when the pod shall not be in the mesh. */
export function enrolmentOf(
  pod: Pod,
  namespace: KubeObject | undefined,
  context: {
    readonly cluster: string;
    readonly trustDomain: string;
    readonly clusterDomain: string;
  },
): Enrolment | undefined {
  if (!isWanted(pod, namespace)) return undefined;
  const { name = '', namespace: place = '', uid = '' } = pod.metadata;
  const dns = podDnsOf(pod, context.clusterDomain);
  return {
    podUid: uid,
    workloadUid: workloadUid(context.cluster, place, name),
    name,
    namespace: place,
    identity: {
      trustDomain: context.trustDomain,
      namespace: place,
      serviceAccount: accountOf(pod),
    },
    addresses: readIps(addressesOf(pod)),
    capture: captureOptionsOf(pod).options,
    ...(dns === undefined ? {} : { dns }),
  };
}

/**
 * As a kubelet makes the pod's resolv.conf of these fields. undefined without a word of the pod's own. Of dnsPolicy Default
 * the node's servers and domains are not known here: such a pod is answered as by default.
 */
function podDnsOf({ metadata, spec }: Pod, clusterDomain: string): PodDns | undefined {
  const { nameservers = [], searches = [] } = spec.dnsConfig ?? {};
  const servers = readIps(nameservers);
  const own = searches.map((domain) => domain.toLowerCase().replace(/\.$/, ''));
  if (spec.dnsPolicy === 'None') return { servers, order: 'instead', search: own };
  if (servers.length === 0 && own.length === 0) return undefined;
  const services = `svc.${clusterDomain}`;
  const usual = [`${metadata.namespace}.${services}`, services, clusterDomain];
  return { servers, order: 'after', search: [...new Set([...usual, ...own])] };
}
