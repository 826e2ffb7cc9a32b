// `ambit node VERB NODE`: what the agent on a node knows and does, in the tables people know from the reference.

import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import type { ConfigDump, IdentityDump, OpenConnectionDump } from '../../wire/config-dump.ts';
import { askAgent, askAgentJson, findAgent } from '../cluster/agents.ts';
import {
  CERTIFICATES,
  CONNECTIONS,
  POLICIES,
  rowsOfDump,
  SERVICES,
  type View,
  WORKLOADS,
} from '../node/views.ts';
import { type OutputFormat, printRows } from '../render/output.ts';
import { type ClusterOptions, clusterOf } from './cluster-options.ts';

export type NodeOptions = ClusterOptions & {
  readonly output: OutputFormat;
  readonly namespace?: string;
};

export async function nodeResources(
  verb: 'workloads' | 'services' | 'policies',
  node: string,
  options: NodeOptions,
): Promise<number> {
  const client = await connectKubernetes(clusterOf(options));
  const agent = await findAgent(client, node);
  const dump = await askAgentJson<ConfigDump>(client, agent, '/config_dump');
  const { namespace } = options;
  switch (verb) {
    case 'workloads':
      return show(rowsOfDump(dump, verb, namespace), WORKLOADS, options);
    case 'services':
      return show(rowsOfDump(dump, verb, namespace), SERVICES, options);
    case 'policies':
      return show(rowsOfDump(dump, verb, namespace), POLICIES, options);
  }
}

export async function nodeCertificates(node: string, options: NodeOptions): Promise<number> {
  const client = await connectKubernetes(clusterOf(options));
  const agent = await findAgent(client, node);
  return show(
    await askAgentJson<IdentityDump[]>(client, agent, '/certificates'),
    CERTIFICATES,
    options,
  );
}

export async function nodeConnections(
  node: string,
  options: NodeOptions & { readonly pod?: string },
): Promise<number> {
  const client = await connectKubernetes(clusterOf(options));
  const agent = await findAgent(client, node);
  const query = options.pod === undefined ? '' : `?pod=${encodeURIComponent(options.pod)}`;
  const rows = await askAgentJson<OpenConnectionDump[]>(client, agent, `/connections${query}`);
  const { namespace } = options;
  const wanted = rows.filter(
    ({ name }) => namespace === undefined || name.startsWith(`${namespace}/`),
  );
  return show(wanted, CONNECTIONS, options);
}

export type LogOptions = ClusterOptions & {
  /** `LEVEL`, or `SCOPE:LEVEL`, several separated by commas. */
  readonly level?: string;
  readonly reset: boolean;
};

export async function nodeLog(node: string, options: LogOptions): Promise<number> {
  const client = await connectKubernetes(clusterOf(options));
  const agent = await findAgent(client, node);
  const query = [
    ...(options.reset ? ['reset'] : []),
    ...(options.level === undefined ? [] : [`level=${encodeURIComponent(options.level)}`]),
  ].join('&');
  const path = query === '' ? '/logging' : `/logging?${query}`;
  const answer = await askAgent(client, agent, path, query === '' ? 'GET' : 'POST');
  process.stdout.write(`${agent.pod}.ambit-system: ${answer.toString('utf8').trim()}\n`);
  return 0;
}

function show<T>(
  rows: readonly T[],
  { header, cells }: View<T>,
  { output }: { readonly output: OutputFormat },
): number {
  const now = Date.now();
  printRows(rows, output, () => ({ header, cells: rows.flatMap((row) => cells(row, now)) }));
  return 0;
}
