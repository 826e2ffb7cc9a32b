// What a node agent says of itself at its admin door: /config_dump in the JSON shape that readers of the reference proxy's
// dumps know, /connections and /certificates. Written by node-agent/config-dump.ts, read by `ambit node ...`. Fields are
// only ever added; private keys have no field here.

/** A waypoint or gateway: `network/ip` or `namespace/hostname`. */
export type GatewayDump = { readonly destination: string; readonly hboneMtlsPort: number };

export type LocalityDump = {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
};

export type WorkloadDump = {
  readonly uid: string;
  readonly workloadIps: readonly string[];
  readonly waypoint?: GatewayDump | undefined;
  readonly networkGateway?: GatewayDump | undefined;
  readonly protocol: 'HBONE' | 'TCP';
  readonly name: string;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly network: string;
  readonly workloadName: string;
  readonly workloadType: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly hostname: string;
  readonly node: string;
  /** `namespace/name`, of policies whose selector picked it. */
  readonly authorizationPolicies: readonly string[];
  readonly status: 'Healthy' | 'Unhealthy';
  readonly clusterId: string;
  readonly locality: LocalityDump;
  /** `namespace/hostname` of each service it is behind. */
  readonly services: readonly string[];
  readonly capacity: number;
};

export type EndpointDump = {
  readonly workloadUid: string;
  /** `namespace/hostname` */
  readonly service: string;
  /** Service port to target port. */
  readonly port: Readonly<Record<string, number>>;
  readonly status: 'Healthy' | 'Unhealthy';
};

export type LoadBalancerDump = {
  readonly mode: string;
  readonly routingPreferences: readonly string[];
  readonly healthPolicy: string;
};

export type ServiceDump = {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** `network/ip`, or `network/ip/length` for a range. */
  readonly vips: readonly string[];
  readonly ports: Readonly<Record<string, number>>;
  readonly endpoints: Readonly<Record<string, EndpointDump>>;
  readonly subjectAltNames: readonly string[];
  readonly waypoint?: GatewayDump | undefined;
  readonly loadBalancer?: LoadBalancerDump | undefined;
  /** `IPv4`, `IPv6` or `Dual`; empty where the platform decides. */
  readonly ipFamilies: string;
};

/** One of its keys is there: `Exact`, `Prefix`, `Suffix` or `Presence`. */
export type StringMatchDump = Readonly<Record<string, string | null>>;

/** Attributes without values are left out. */
export type PolicyMatchDump = Readonly<Record<string, readonly unknown[]>>;

export type PolicyDump = {
  readonly name: string;
  readonly namespace: string;
  readonly scope: 'Global' | 'Namespace' | 'WorkloadSelector';
  /** `Allow`, `Deny`, ... */
  readonly action: string;
  readonly dryRun: boolean;
  /** Rules are ORed, clauses of a rule ANDed, matches of a clause ORed. */
  readonly rules: readonly (readonly (readonly PolicyMatchDump[])[])[];
};

export type CertificateDump = {
  /** The certificate's PEM text once more in base64, as readers of such dumps expect it. */
  readonly pem: string;
  /** Decimal. */
  readonly serialNumber: string;
  /** RFC 3339, seconds. */
  readonly validFrom: string;
  readonly expirationTime: string;
};

export type IdentityDump = {
  /** SPIFFE URI. */
  readonly identity: string;
  /** `Available`, `Initializing`, or `Unavailable: <why>`. */
  readonly state: string;
  /** Leaf first, then intermediates. */
  readonly certChain: readonly CertificateDump[];
  readonly rootCerts: readonly CertificateDump[];
};

/** Addresses are `ip:port`. */
export type ConnectionDump = {
  readonly src: string;
  readonly originalDst: string;
  readonly actualDst: string;
  readonly protocol: 'HBONE' | 'TCP';
};

export type WorkloadStateDump = {
  readonly state: 'Pending' | 'Up' | 'Draining';
  readonly connections: {
    readonly inbound: readonly ConnectionDump[];
    readonly outbound: readonly ConnectionDump[];
  };
  readonly info: {
    readonly name: string;
    readonly namespace: string;
    readonly trustDomain: string;
    readonly serviceAccount: string;
  };
};

/** The answer of /config_dump. */
export type ConfigDump = {
  readonly workloads: readonly WorkloadDump[];
  readonly services: readonly ServiceDump[];
  readonly policies: readonly PolicyDump[];
  readonly stagedServices: Readonly<Record<string, never>>;
  readonly staticConfig: Readonly<Record<string, never>>;
  readonly version: { readonly version: string; readonly snapshot: number };
  /** The agent's settings as they are in force. */
  readonly config: object;
  readonly certificates: readonly IdentityDump[];
  /** By pod UID: the pods of this node that are (or were just) in the mesh. */
  readonly workloadState: Readonly<Record<string, WorkloadStateDump>>;
};

/** One row of /connections. */
export type OpenConnectionDump = ConnectionDump & {
  /** Pod UID. */
  readonly pod: string;
  /** `namespace/name` of the pod. */
  readonly name: string;
  readonly direction: 'inbound' | 'outbound';
  /** SPIFFE URIs, where a certificate proves them. */
  readonly srcIdentity?: string | undefined;
  readonly dstIdentity?: string | undefined;
  /** Milliseconds since it began, bytes of the request's and of the response's direction. */
  readonly ageMs?: number | undefined;
  readonly bytesSent?: number | undefined;
  readonly bytesReceived?: number | undefined;
};
