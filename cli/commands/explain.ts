// `ambit explain FROM TO[:PORT]`: how the name resolves, where the connection goes, which policies are considered, which
// one decides, and what would have to change. With words of a request (--method, --path, ...) also what its waypoint makes
// of that.

import { formatIpPort } from '../../mesh/address.ts';
import { explainAtWaypoint } from '../../mesh/explain-at-waypoint.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { WAYPOINT_CLASS } from '../../mesh/waypoint.ts';
import { createConditions } from '../../runtime/conditions.ts';
import { connectKubernetes, type KubeClient } from '../../runtime/kubernetes/client.ts';
import { compileRegex } from '../../runtime/regex.ts';
import { Snapshots } from '../cluster/snapshots.ts';
import { waypointSnapshot } from '../cluster/waypoints.ts';
import { type Asked, explainConnection } from '../explain/evaluate.ts';
import { findDestination, findSource } from '../explain/places.ts';
import {
  asksOfRequest,
  factsOf,
  type RequestWords,
  readRequestWords,
  waypointBefore,
} from '../explain/request.ts';
import { renderExplanation } from '../render/explain.ts';
import { type ExplainedRequest, renderRequest } from '../render/explain-request.ts';
import { type OutputFormat, renderValue } from '../render/output.ts';
import { styleFor } from '../render/style.ts';
import { type ClusterOptions, clusterOf } from './cluster-options.ts';

export type ExplainOptions = ClusterOptions & {
  readonly output: OutputFormat;
  /** Of FROM, when it does not say. */
  readonly namespace: string;
} & RequestWords;

/** @returns the exit code: 0 when connection and request are allowed, 1 when they are not, or it depends */
export async function explain(from: string, to: string, options: ExplainOptions): Promise<number> {
  const client = await connectKubernetes(clusterOf(options));
  const snapshots = await Snapshots.of(client);
  const anywhere = await snapshots.any();
  const { node } = findSource(from, options.namespace, anywhere);
  const snapshot = await snapshots.fetch(node);
  const source = findSource(from, options.namespace, snapshot);
  const { to: address, resolution } = findDestination(to, source, snapshot);
  // twice: the first time tells which nodes' agents are to be asked
  const nodes = new Set<string>();
  const asked = { source, to: address, snapshot };
  explainConnection({ ...asked, at: (one) => note(nodes, one, snapshot) });
  await Promise.all([...nodes].map((one) => snapshots.fetch(one)));
  const explanation = explainConnection({ ...asked, at: (one) => snapshots.at(one) });
  const explained = { ...explanation, resolution };
  const style = styleFor(process.stdout);
  const comesThere = explanation.failure === undefined;
  const request =
    asksOfRequest(options) && comesThere
      ? await explainRequestOf({ ...asked, at: () => snapshot }, options, client)
      : undefined;
  process.stdout.write(
    options.output === 'text'
      ? renderExplanation(explained, style) +
          (request === undefined ? '' : renderRequest(request, style))
      : renderValue(request === undefined ? explained : { ...explained, request }, options.output),
  );
  const isLetThrough = (request?.explanation?.verdict ?? 'allowed') === 'allowed';
  return explanation.verdict === 'allowed' && isLetThrough ? 0 : 1;
}

/** @throws CommandFailure */
async function explainRequestOf(
  asked: Asked,
  words: RequestWords,
  client: KubeClient,
): Promise<ExplainedRequest> {
  const before = waypointBefore(asked);
  const read = readRequestWords(words, before?.hostname ?? formatIpPort(asked.to));
  if (before === undefined) return { ...read, waypoint: undefined, explanation: undefined };
  const gateway = `${before.namespace}/${before.name}`;
  const explanation = explainAtWaypoint({
    place: { gateway, gatewayClass: WAYPOINT_CLASS, service: before.service },
    facts: factsOf(asked, read),
    snapshot: await waypointSnapshot(client, before),
    evaluate: createConditions(),
    regex: compileRegex,
  });
  return { ...read, waypoint: gateway, explanation };
}

function note(nodes: Set<string>, node: string, snapshot: Snapshot): Snapshot {
  nodes.add(node);
  return snapshot;
}
