// The `baggage` header (W3C Baggage) in the keys ambient proxies exchange: who a workload is, for telemetry only. Policy
// never reads it: anybody can send anything.

export type Baggage = {
  readonly cluster?: string;
  readonly namespace?: string;
  readonly workloadType?: 'deployment' | 'cronjob' | 'pod' | 'job';
  readonly workloadName?: string;
  readonly serviceName?: string;
  readonly serviceVersion?: string;
  readonly region?: string;
  readonly zone?: string;
};

const WORKLOAD_KEYS = {
  'k8s.deployment.name': 'deployment',
  'k8s.cronjob.name': 'cronjob',
  'k8s.pod.name': 'pod',
  'k8s.job.name': 'job',
} as const;

const PLAIN_KEYS = {
  'k8s.cluster.name': 'cluster',
  'k8s.namespace.name': 'namespace',
  'service.name': 'serviceName',
  'service.version': 'serviceVersion',
  'cloud.region': 'region',
  'cloud.availability_zone': 'zone',
} as const;

// W3C Baggage section 3.3: at most 8192 bytes need be carried; more from a peer is not worth reading.
const MAX_LENGTH = 8192;

/** Keys without a value are left out; an empty text means there is nothing to send. */
export function formatBaggage(baggage: Baggage): string {
  const entries: [string, string | undefined][] = [
    ['k8s.cluster.name', baggage.cluster],
    ['k8s.namespace.name', baggage.namespace],
    [`k8s.${baggage.workloadType ?? 'pod'}.name`, baggage.workloadName],
    ['service.name', baggage.serviceName],
    ['service.version', baggage.serviceVersion],
    ['cloud.region', baggage.region],
    ['cloud.availability_zone', baggage.zone],
  ];
  return entries
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([key, value]) => `${key}=${encodeURIComponent((value ?? '').toWellFormed())}`)
    .join(',');
}

/** Several header lines are joined with commas before. Unknown keys and empty values are passed over; never throws. */
export function readBaggage(text: string): Baggage {
  const baggage: { -readonly [K in keyof Baggage]: Baggage[K] } = {};
  if (text.length > MAX_LENGTH) return baggage;
  for (const member of text.split(',')) {
    // properties behind a semicolon are for others
    const [pair = ''] = member.split(';');
    const at = pair.indexOf('=');
    const key = pair.slice(0, Math.max(at, 0)).trim();
    const value = decoded(pair.slice(at + 1).trim());
    if (at < 0 || value === '') continue;
    if (Object.hasOwn(WORKLOAD_KEYS, key)) {
      baggage.workloadType = WORKLOAD_KEYS[key as keyof typeof WORKLOAD_KEYS];
      baggage.workloadName = value;
    } else if (Object.hasOwn(PLAIN_KEYS, key)) {
      baggage[PLAIN_KEYS[key as keyof typeof PLAIN_KEYS]] = value;
    }
  }
  return baggage;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
