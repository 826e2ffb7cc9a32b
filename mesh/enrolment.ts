// Enrolment: which pods of a node shall be in the mesh, and what the node's agent says became of it.
// The control plane pushes one Enrolment per wanted pod to the pod's agent; the agent answers with EnrolmentReports.
// A workload is announced as `hbone` only after its agent reported `enabled`, so nobody dials a tunnel that is not there.

import type { IpAddress } from './address.ts';
import type { CaptureOptions } from './capture-options.ts';
import type { Identity } from './identity.ts';

export type Enrolment = {
  /** Kubernetes pod UID (not the Workload uid). */
  readonly podUid: string;
  readonly workloadUid: string;
  readonly name: string;
  readonly namespace: string;
  readonly identity: Identity;
  readonly addresses: readonly IpAddress[];
  readonly capture: CaptureOptions;
  /** Absent: the pod resolves as pods do by default. */
  readonly dns?: PodDns;
};

/** How a pod resolves names where its `dnsPolicy` and `dnsConfig` say otherwise than the cluster's default. */
export type PodDns = {
  /** Name servers of its own. */
  readonly servers: readonly IpAddress[];
  /** `instead` of the cluster's (dnsPolicy None), or `after` them. */
  readonly order: 'instead' | 'after';
  /** All of its search domains, lower case. */
  readonly search: readonly string[];
};

export type EnrolmentReport = {
  readonly podUid: string;
  readonly name: string;
  readonly namespace: string;
} & (
  | { readonly state: 'enabled' }
  | { readonly state: 'removed' }
  | {
      readonly state: 'failed';
      /** CamelCase, stable: NoNetworkNamespace, PortTaken, CertificateRefused, CaptureFailed */
      readonly reason: string;
      /** One sentence for a person: what failed, and the next step. */
      readonly message: string;
    }
);
