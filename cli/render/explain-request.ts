// What a waypoint makes of a request, for people: below the connection's own explanation. Pure.

import type { WaypointExplanation } from '../../mesh/explain-at-waypoint.ts';
import { describeTestMiss, type HttpPolicyExplanation } from '../../mesh/explain-request.ts';
import type { AskedRequest } from '../explain/request.ts';
import type { Style } from './style.ts';

export type ExplainedRequest = AskedRequest & {
  /** `namespace/name`; undefined: nothing between the two looks at requests. */
  readonly waypoint: string | undefined;
  readonly explanation: WaypointExplanation | undefined;
};

export function renderRequest(explained: ExplainedRequest, style: Style): string {
  const { request, waypoint, explanation } = explained;
  const { method, authority, path, query } = request;
  const target = query === undefined ? path : `${path}?${query}`;
  const lines = [
    '',
    `${style.bold('request')}   ${method} ${target}, host ${authority}`,
    ...(explanation === undefined || waypoint === undefined
      ? [style.dim('          no waypoint stands before it: nothing looks at requests')]
      : [
          `${style.bold('at')}        waypoint ${waypoint}`,
          ...steps(explained, explanation, style),
        ]),
  ];
  return `${lines.join('\n')}\n`;
}

function steps(
  { token }: ExplainedRequest,
  explanation: WaypointExplanation,
  style: Style,
): string[] {
  const { decision, policies } = explanation.authorization;
  const paint = decision.verdict === 'allow' ? style.good : style.bad;
  return [
    ...tokenLines(explanation, token !== undefined).map((line) => `          ${line}`),
    `${style.bold('policy')}    ${paint(WORDS[decision.verdict])}: ${decision.reason}`,
    ...policies.flatMap((policy) => policyLines(policy, style)).map((line) => `          ${line}`),
    `${style.bold('route')}     ${routeLine(explanation)}`,
    '',
    verdictLine(explanation, style),
    ...policies.flatMap(({ change }) => change ?? []).map((one) => `  ${style.dim('->')} ${one}`),
  ];
}

const WORDS = { allow: 'allowed', deny: 'denied', ask: 'left to others' } as const;

function tokenLines({ tokens, broken }: WaypointExplanation, hasToken: boolean): string[] {
  if (broken !== undefined) return [`nobody gets through: ${broken}`];
  if (tokens.length > 0) {
    const says = hasToken ? 'taken as verified here' : 'the request is taken to bear none';
    return [`tokens count, by ${tokens.join(', ')}: ${says}`];
  }
  return hasToken
    ? ['no RequestAuthentication holds there, so a token would count for nothing']
    : [];
}

function policyLines(policy: HttpPolicyExplanation, style: Style): string[] {
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
        : `    rule ${index}, ${rule.part}: ${rule.misses.map(describeTestMiss).join('; or ')}`,
    ),
  ];
}

function routeLine({ route }: WaypointExplanation): string {
  switch (route.kind) {
    case 'no-routes':
      return 'none holds there: it goes to what was asked for';
    case 'unmatched':
      return `it meets no rule of ${route.routes.join(', ')}`;
    case 'matched': {
      const filters = route.filters.length === 0 ? '' : `, with ${route.filters.join(', ')}`;
      const to = route.backends.map(({ to: name, percent }) =>
        percent === 100 ? name : `${name} (${percent} %)`,
      );
      const backends = to.length === 0 ? '' : `, to ${to.join(' or ')}`;
      return `${route.route}, rule ${route.rule}${filters}${backends}`;
    }
  }
}

function verdictLine({ verdict, route }: WaypointExplanation, style: Style): string {
  switch (verdict) {
    case 'allowed':
      return style.good('The request is let through');
    case 'denied':
      return style.bad('The request is denied');
    case 'asked':
      return route.kind === 'matched' && route.filters.includes('external-auth')
        ? style.bad('It depends on the authorization service of its route')
        : style.bad('It depends on the authorization service that is asked');
    case 'unrouted':
      return style.bad('The request is answered with 404: no route matches');
  }
}
