// What `ambit node ...` shows of an agent's dump: one view a verb, each with the columns people know from the reference's
// own command, over the very rows that `-o json` prints. Pure.

import type {
  CertificateDump,
  ConfigDump,
  IdentityDump,
  OpenConnectionDump,
  PolicyDump,
  ServiceDump,
  WorkloadDump,
} from '../../wire/config-dump.ts';

/** `T` is a row as the dump has it. */
export type View<T> = {
  readonly header: readonly string[];
  readonly cells: (row: T, now: number) => readonly (readonly string[])[];
};

export const WORKLOADS: View<WorkloadDump> = {
  header: ['NAMESPACE', 'POD NAME', 'ADDRESS', 'NODE', 'WAYPOINT', 'PROTOCOL'],
  cells: ({ namespace, name, workloadIps, node, waypoint, protocol }) => [
    [namespace, name, workloadIps.join(','), node, waypoint?.destination ?? 'None', protocol],
  ],
};

export const SERVICES: View<ServiceDump> = {
  header: ['NAMESPACE', 'SERVICE NAME', 'SERVICE VIP', 'WAYPOINT', 'ENDPOINTS'],
  cells: ({ namespace, name, vips, waypoint, endpoints }) => {
    const all = Object.values(endpoints);
    const healthy = all.filter(({ status }) => status === 'Healthy');
    // without its network, which is empty or the same for all in most meshes
    const addresses = vips.map((vip) => vip.slice(vip.indexOf('/') + 1)).join(',');
    const share = `${healthy.length}/${all.length}`;
    return [[namespace, name, addresses || 'None', waypoint?.destination ?? 'None', share]];
  },
};

export const POLICIES: View<PolicyDump> = {
  header: ['NAMESPACE', 'POLICY NAME', 'ACTION', 'SCOPE', 'DRY RUN'],
  cells: ({ namespace, name, action, scope, dryRun }) => [
    [namespace, name, action, scope, dryRun ? 'true' : 'false'],
  ],
};

export const CERTIFICATES: View<IdentityDump> = {
  header: [
    'CERTIFICATE NAME',
    'TYPE',
    'STATUS',
    'VALID CERT',
    'SERIAL NUMBER',
    'NOT AFTER',
    'NOT BEFORE',
  ],
  cells: ({ identity, state, certChain, rootCerts }, now) => {
    const row = (type: string, certificate: CertificateDump): string[] => [
      identity,
      type,
      state,
      String(isValid(certificate, now)),
      BigInt(certificate.serialNumber).toString(16),
      certificate.expirationTime,
      certificate.validFrom,
    ];
    const [leaf, ...intermediates] = certChain;
    if (leaf === undefined) return [[identity, 'Leaf', state, 'false', '', '', '']];
    return [
      row('Leaf', leaf),
      ...intermediates.map((one) => row('Intermediate', one)),
      ...rootCerts.map((one) => row('Root', one)),
    ];
  },
};

export const CONNECTIONS: View<OpenConnectionDump> = {
  header: [
    'WORKLOAD',
    'DIRECTION',
    'LOCAL',
    'REMOTE',
    'REMOTE TARGET',
    'PROTOCOL',
    'AGE',
    'SENT',
    'RECEIVED',
  ],
  cells: (row) => {
    const { name, direction, src, originalDst, actualDst, protocol } = row;
    const outbound = direction === 'outbound';
    return [
      [
        name,
        direction,
        outbound ? src : originalDst,
        outbound ? actualDst : src,
        outbound ? originalDst : '',
        protocol,
        row.ageMs === undefined ? '' : age(row.ageMs),
        String(row.bytesSent ?? ''),
        String(row.bytesReceived ?? ''),
      ],
    ];
  },
};

export function rowsOfDump<V extends 'workloads' | 'services' | 'policies'>(
  dump: ConfigDump,
  verb: V,
  namespace: string | undefined,
): ConfigDump[V][number][] {
  const rows: readonly ConfigDump[V][number][] = dump[verb];
  return rows
    .filter((row) => namespace === undefined || row.namespace === namespace)
    .toSorted((a, b) => `${a.namespace}/${a.name}`.localeCompare(`${b.namespace}/${b.name}`));
}

function isValid({ validFrom, expirationTime }: CertificateDump, now: number): boolean {
  return Date.parse(validFrom) <= now && now < Date.parse(expirationTime);
}

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

/** As kubectl writes an age: two digits are enough to tell old from new. */
function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 2 * MINUTE_S) return `${seconds}s`;
  if (seconds < 2 * HOUR_S) return `${Math.floor(seconds / MINUTE_S)}m`;
  if (seconds < 2 * DAY_S) return `${Math.floor(seconds / HOUR_S)}h`;
  return `${Math.floor(seconds / DAY_S)}d`;
}
