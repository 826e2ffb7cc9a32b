// `ambit status` for people: one screen, the problems last, where the eye ends. Pure.

import type { Problem, WaypointStatus } from '../../wire/status.ts';
import type { Replicas, StatusReport } from '../status/report.ts';
import { phaseText } from './ca.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

export function renderStatus(report: StatusReport, style: Style): string {
  const sections = [
    headline(report, style),
    agents(report, style),
    namespaces(report, style),
    workloads(report),
    waypoints(report, style),
    leftAlone(report),
    trafficLine(report, style),
    problems(report.problems, style),
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

function headline(report: StatusReport, style: Style): string {
  const lines = [
    ['Control plane', replicas(report.controlPlane, style), versionText(report)],
    ['CA', replicas(report.ca, style), rootText(report)],
  ];
  return lines
    .map(([name = '', state = '', note = '']) => `${name.padEnd(15)}${state}${note}`)
    .join('\n');
}

function replicas(value: Replicas | undefined, style: Style): string {
  if (value === undefined) return style.bad('not installed');
  const text = `${value.ready}/${value.wanted} ready`;
  return value.ready > 0 ? style.good(text) : style.bad(text);
}

function versionText(report: StatusReport): string {
  if (report.controlPlaneVersion === undefined) return '';
  if (report.controlPlaneVersion === report.cliVersion) return `, version ${report.cliVersion}`;
  return `, version ${report.controlPlaneVersion} (this cli: ${report.cliVersion})`;
}

function rootText({ rootNotAfter, rotation }: StatusReport): string {
  const until =
    rootNotAfter === undefined ? '' : `, root certificate until ${rootNotAfter.slice(0, 10)}`;
  const moving = rotation !== undefined && rotation.phase !== 'steady';
  return moving ? `${until}, rotation ${phaseText(rotation)}` : until;
}

function agents(report: StatusReport, style: Style): string {
  if (report.agents.length === 0) return '';
  const word = (ok: boolean, yes: string, no: string): string =>
    ok ? style.good(yes) : style.bad(no);
  return renderTable(
    ['NODE', 'AGENT', 'READY', 'CONNECTED', 'IN SYNC', 'VERSION'],
    report.agents.map((agent) => [
      agent.node,
      agent.pod,
      word(agent.ready, 'yes', 'no'),
      word(agent.connected, 'yes', 'no'),
      word(agent.inSync, 'yes', 'no'),
      agent.version,
    ]),
  );
}

function namespaces(report: StatusReport, style: Style): string {
  const enrolled = report.namespaces.filter((namespace) => namespace.mode === 'ambient');
  if (enrolled.length === 0) {
    return 'No namespace is in the mesh. Add one: ambit namespace add NAME';
  }
  return renderTable(
    ['NAMESPACE', 'MODE', 'PODS', 'ENROLLED'],
    enrolled.map((namespace) => {
      const count = `${namespace.enrolled}/${namespace.pods}`;
      const whole = namespace.enrolled + (namespace.leftAlone ?? 0) === namespace.pods;
      return [
        namespace.name,
        namespace.mode,
        String(namespace.pods),
        whole ? style.good(count) : style.bad(count),
      ];
    }),
  );
}

function workloads(report: StatusReport): string {
  const enrolled = report.workloads.filter((workload) => workload.redirection !== 'none');
  if (enrolled.length === 0) return '';
  return renderTable(
    ['NAMESPACE', 'WORKLOAD', 'NODE', 'PROTOCOL', 'IDENTITY'],
    enrolled.map((workload) => [
      workload.namespace,
      workload.name,
      workload.node,
      workload.redirection === 'enabled' ? workload.protocol.toUpperCase() : workload.redirection,
      workload.identity,
    ]),
  );
}

function waypoints(report: StatusReport, style: Style): string {
  if (report.waypoints.length === 0) return '';
  return renderTable(
    ['NAMESPACE', 'GATEWAY', 'FOR', 'READY', 'PROGRAMMED', 'USED BY'],
    report.waypoints.map((one) => {
      const ready = `${one.ready}/${one.replicas}`;
      return [
        one.namespace,
        one.name,
        one.for ?? one.kind,
        one.ready > 0 ? style.good(ready) : style.bad(ready),
        one.programmed ? style.good('yes') : style.bad('no'),
        usedBy(one),
      ];
    }),
  );
}

function usedBy({ kind, services, workloads: pods }: WaypointStatus): string {
  if (kind === 'ingress') return '';
  const counted = (count: number, what: string): string[] =>
    count === 0 ? [] : [`${count} ${what}${count === 1 ? '' : 's'}`];
  const all = [...counted(services, 'service'), ...counted(pods, 'workload')];
  return all.length === 0 ? 'nobody' : all.join(', ');
}

const WHY_LEFT_ALONE = {
  'host-network': "hostNetwork: it has no network of its own, so its traffic is the node's",
  'opted-out': 'label ambit-mesh.io/mode=none',
} as const;

function leftAlone(report: StatusReport): string {
  const rows = report.workloads.flatMap(({ namespace, name, node, leftAlone: why }) =>
    why === undefined ? [] : [[namespace, name, node, WHY_LEFT_ALONE[why] ?? why]],
  );
  return rows.length === 0 ? '' : renderTable(['NAMESPACE', 'LEFT ALONE', 'NODE', 'WHY'], rows);
}

function trafficLine(report: StatusReport, style: Style): string {
  if (report.traffic === undefined) return '';
  const { mtls, plaintext } = report.traffic;
  if (report.mtlsShare === undefined)
    return 'Traffic        no connection to an enrolled workload yet';
  const share = `${(report.mtlsShare * 100).toFixed(1)} % mTLS`;
  return `Traffic        ${plaintext === 0 ? style.good(share) : share} (${mtls} of ${mtls + plaintext} connections to enrolled workloads)`;
}

function problems(list: readonly Problem[], style: Style): string {
  if (list.length === 0) return style.good('Healthy: no problem found');
  const items = list.map(
    ({ object, reason, message, remedy }) =>
      `  ${style.bad(reason)} ${style.bold(object)}\n    ${message}\n    ${style.dim('->')} ${remedy}`,
  );
  return `${style.bad(`${list.length} problem${list.length === 1 ? '' : 's'}`)}\n${items.join('\n')}`;
}
