// `ambit waypoint generate|apply|list|status|delete`: L7 proxies without writing Gateways by hand.

import { systemClock } from '../../runtime/clock.ts';
import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import { CommandFailure } from '../exit.ts';
import { type OutputFormat, printRows, renderValue } from '../render/output.ts';
import {
  applyWaypoint,
  deleteWaypoints,
  listWaypoints,
  type WaypointParts,
  waitForWaypoint,
} from '../waypoint/change.ts';
import { waypointManifest } from '../waypoint/manifest.ts';
import { sortedRows, type WaypointRow } from '../waypoint/rows.ts';
import type { ClusterOptions } from './cluster-options.ts';

type Named = { readonly name: string; readonly namespace: string; readonly for?: string };
type Waiting = { readonly wait: boolean; readonly timeout: number };

export type GenerateOptions = Named;
export type ApplyOptions = ClusterOptions &
  Named &
  Waiting & { readonly enrollNamespace: boolean; readonly overwrite: boolean };
export type ListOptions = ClusterOptions & {
  readonly namespace: string;
  readonly allNamespaces: boolean;
  readonly output: OutputFormat;
};
export type StatusOptions = ListOptions & Waiting;
export type DeleteOptions = ClusterOptions & { readonly namespace: string; readonly all: boolean };

export function waypointGenerate({ name, namespace, for: kind }: GenerateOptions): number {
  process.stdout.write(renderValue(waypointManifest({ name, namespace, for: kind }), 'yaml'));
  return 0;
}

/** @returns the exit code: 0 when it is applied and, where that was to be waited for, ready */
export async function waypointApply(options: ApplyOptions): Promise<number> {
  const { name, namespace, for: kind, timeout } = options;
  const parts = await partsOf(options);
  await applyWaypoint(parts, { name, namespace, for: kind }, options);
  if (!options.wait) return 0;
  await waitForWaypoint(parts, { name, namespace }, timeout * 1000);
  parts.tell(`waypoint ${namespace}/${name} is ready`);
  return 0;
}

export async function waypointList(options: ListOptions): Promise<number> {
  const { client } = await partsOf(options);
  const rows = sortedRows(await listWaypoints(client, placeOf(options)));
  printRows(rows, options.output, () => ({
    header: [...placeHeader(options), 'NAME', 'FOR', 'PROGRAMMED', 'ADDRESS'],
    cells: rows.map((row) => [
      ...placeCell(row, options),
      row.name,
      row.for,
      row.programmed,
      row.addresses.join(','),
    ]),
  }));
  return 0;
}

/** @returns the exit code: 0 when all of them are ready */
export async function waypointStatus(
  name: string | undefined,
  options: StatusOptions,
): Promise<number> {
  const parts = await partsOf(options);
  const find = async (): Promise<WaypointRow[]> => {
    const all = sortedRows(await listWaypoints(parts.client, placeOf(options)));
    return name === undefined ? all : all.filter((row) => row.name === name);
  };
  let rows = await find();
  if (rows.length === 0) {
    const which = name === undefined ? 'waypoint' : `waypoint "${name}"`;
    const where = options.allNamespaces ? 'this cluster' : `namespace ${options.namespace}`;
    throw new CommandFailure(
      `Cannot find any ${which} in ${where}. Make one: ambit waypoint apply -n ${options.namespace}`,
    );
  }
  if (options.wait) {
    // what waits is told on stderr: stdout is for what was asked for
    const patient = { ...parts, tell: parts.warn };
    for (const row of rows) await waitForWaypoint(patient, row, options.timeout * 1000);
    rows = await find();
  }
  printRows(rows, options.output, () => ({
    header: [...placeHeader(options), 'NAME', 'PROGRAMMED', 'FOR', 'REASON', 'MESSAGE'],
    cells: rows.map((row) => [
      ...placeCell(row, options),
      row.name,
      row.programmed,
      row.for,
      row.reason,
      row.message,
    ]),
  }));
  return rows.every(({ programmed }) => programmed === 'True') ? 0 : 1;
}

export async function waypointDelete(
  names: readonly string[],
  options: DeleteOptions,
): Promise<number> {
  if ((names.length === 0) !== options.all) {
    throw new CommandFailure('Name the waypoints to delete, or give --all for all of a namespace');
  }
  const parts = await partsOf(options);
  const all = options.all ? sortedRows(await listWaypoints(parts.client, options.namespace)) : [];
  if (options.all && all.length === 0) {
    parts.tell(`there is no waypoint in namespace ${options.namespace}`);
    return 0;
  }
  const doomed = options.all ? all.map(({ name }) => name) : names;
  await deleteWaypoints(parts, options.namespace, doomed);
  return 0;
}

async function partsOf(options: ClusterOptions): Promise<WaypointParts> {
  return {
    client: await connectKubernetes(options),
    clock: systemClock,
    tell: (line) => void process.stdout.write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
  };
}

function placeOf({ namespace, allNamespaces }: ListOptions): string | undefined {
  return allNamespaces ? undefined : namespace;
}

function placeHeader({ allNamespaces }: ListOptions): string[] {
  return allNamespaces ? ['NAMESPACE'] : [];
}

function placeCell({ namespace }: WaypointRow, { allNamespaces }: ListOptions): string[] {
  return allNamespaces ? [namespace] : [];
}
