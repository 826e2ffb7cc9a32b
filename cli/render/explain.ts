// `ambit explain` for people: the steps of a connection in their order, the verdict last, where the eye ends. Pure.

import { describeMiss, type PolicyExplanation } from '../../mesh/explain-authorization.ts';
import type { ConnectionExplanation, EndpointExplanation, Outcome } from '../explain/evaluate.ts';
import type { Style } from './style.ts';

export type Explained = ConnectionExplanation & {
  /** How the words of the command led to the destination. */
  readonly resolution: string;
};

export function renderExplanation(explained: Explained, style: Style): string {
  const { source, destination, resolution, classified, endpoints, leftOut, failure } = explained;
  const caller = source.inMesh
    ? `in the mesh, as ${source.identity}`
    : 'not in the mesh: its connections are plain text and carry no identity';
  const lines = [
    `${style.bold('from')}      ${source.workload} (${caller})`,
    `${style.bold('to')}        ${destination} (${resolution})`,
    `${style.bold('is')}        ${classified}`,
    ...endpointLines(endpoints, style),
    ...leftOut.map(({ workload, why }) => style.dim(`          not ${workload}: ${why}`)),
    '',
    verdictLine(explained.verdict, style),
    ...(failure === undefined ? [] : [`  ${failure.code}: ${failure.message}`]),
    ...changes(endpoints).map((change) => `  ${style.dim('->')} ${change}`),
  ];
  return `${lines.join('\n')}\n`;
}

function endpointLines(endpoints: readonly EndpointExplanation[], style: Style): string[] {
  return endpoints.flatMap((endpoint, index) => {
    const { workload, address, via, outcome } = endpoint;
    const head = endpoints.length > 1 ? `one of ${endpoints.length}` : 'endpoint';
    const label = index === 0 ? style.bold(head.padEnd(10)) : ' '.repeat(10);
    return [
      `${label}${workload} at ${address}, ${WAYS[via]}`,
      ...outcomeLines(outcome, style).map((line) => `          ${line}`),
    ];
  });
}

const WAYS: Readonly<Record<EndpointExplanation['via'], string>> = {
  tunnel: 'through an mTLS tunnel',
  tcp: 'in plain TCP',
  gateway: "through its network's gateway, tunnel in tunnel",
  lookup: 'in plain TCP, by a DNS name',
};

function outcomeLines(outcome: Outcome, style: Style): string[] {
  switch (outcome.result) {
    case 'unchecked':
      return [style.dim('not in the mesh: nobody checks policies there')];
    case 'passed-on':
      return [`passed on to ${outcome.to}, which decides further`];
    case 'failed':
      return [style.bad(`${outcome.code}: ${outcome.message}`)];
    case 'allowed':
    case 'denied': {
      const { decision, policies } = outcome.authorization;
      const paint = outcome.result === 'allowed' ? style.good : style.bad;
      return [
        `${paint(outcome.result)}: ${decision.reason}`,
        ...policies.flatMap((policy) => policyLines(policy, style)),
      ];
    }
  }
}

function policyLines(policy: PolicyExplanation, style: Style): string[] {
  const { action, enforced, matched, decides, rules } = policy;
  const mark = decides ? style.bold('*') : '-';
  const mode = enforced ? action.toUpperCase() : `${action.toUpperCase()}, reported only`;
  const head = `${mark} ${policy.policy} (${mode}) ${matched ? 'matches' : 'does not match'}`;
  if (matched) return [head];
  if (rules.length === 0) return [head, '    it has no rule'];
  return [
    head,
    ...rules.map((rule, index) =>
      rule.matched
        ? `    rule ${index} matches`
        : `    rule ${index}: ${rule.misses.map(describeMiss).join('; or ')}`,
    ),
  ];
}

function verdictLine(verdict: ConnectionExplanation['verdict'], style: Style): string {
  switch (verdict) {
    case 'allowed':
      return style.good('The connection is allowed');
    case 'denied':
      return style.bad('The connection is denied');
    case 'failed':
      return style.bad('The connection fails');
    case 'depends':
      return style.bad('It depends on the endpoint that is chosen');
  }
}

function changes(endpoints: readonly EndpointExplanation[]): string[] {
  const all = endpoints.flatMap(({ outcome }) =>
    outcome.result === 'denied'
      ? outcome.authorization.policies.flatMap(({ change }) => change ?? [])
      : [],
  );
  return [...new Set(all)];
}
