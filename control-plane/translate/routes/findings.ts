// What the status of a route shall say of each of its parents. Pure. Called by routes.ts; written by
// status/route-parents.ts.

import { USE_WAYPOINT } from '../../../mesh/waypoint.ts';
import type { KubeObject } from '../../../runtime/kubernetes/objects.ts';
import type { Resource } from '../../../runtime/kubernetes/resources.ts';
import type { ParentReference } from '../../../runtime/kubernetes/route-objects.ts';
import type { Problem } from '../../../wire/status.ts';
import type { Finding } from '../outcome.ts';
import type { Attachment } from './attachment.ts';
import type { TranslatedRules } from './rules.ts';

export type ParentOutcome = {
  /** Exactly as the object has it. */
  readonly parentRef: ParentReference;
  readonly findings: readonly Finding[];
};

/** Of one route: its parents that are ours; none: nothing of ours is to be in its status. */
export type RouteOutcome = {
  readonly resource: Resource;
  /** As the translation saw it. */
  readonly object: KubeObject;
  readonly parents: readonly ParentOutcome[];
};

export function parentOutcome(attachment: Attachment, rules: TranslatedRules): ParentOutcome {
  return {
    parentRef: attachment.ref,
    findings: [
      acceptance(attachment),
      resolution(rules),
      ...partial(attachment, rules),
      ...programming(attachment),
    ],
  };
}

function acceptance({ refusal, notes }: Attachment): Finding {
  return refusal === undefined
    ? {
        type: 'Accepted',
        status: 'True',
        reason: 'Accepted',
        message: ['The route is accepted', ...notes].join('. '),
      }
    : { type: 'Accepted', status: 'False', reason: refusal.reason, message: refusal.message };
}

function resolution({ broken }: TranslatedRules): Finding {
  const [first] = broken;
  if (first === undefined) {
    return {
      type: 'ResolvedRefs',
      status: 'True',
      reason: 'ResolvedRefs',
      message: 'All references are resolved',
    };
  }
  const messages = [...new Set(broken.map(({ message }) => message))];
  const { reason } = first;
  return { type: 'ResolvedRefs', status: 'False', reason, message: messages.join('. ') };
}

function partial({ refusal }: Attachment, { dropped }: TranslatedRules): Finding[] {
  if (refusal !== undefined || dropped.length === 0) return [];
  // the Gateway API says how it begins
  const message = `Dropped Rule: ${dropped.join('. ')}`;
  return [{ type: 'PartiallyInvalid', status: 'True', reason: 'UnsupportedValue', message }];
}

function programming({ refusal, programmed }: Attachment): Finding[] {
  if (refusal !== undefined || programmed === undefined) return [];
  const type = 'Programmed';
  if (programmed.by !== undefined) {
    const message = `Waypoint ${programmed.by} applies it`;
    return [{ type, status: 'True', reason: 'Programmed', message }];
  }
  const message = `Nothing applies it: the Service has no waypoint. Label it, or its namespace, ${USE_WAYPOINT}`;
  return [{ type, status: 'False', reason: 'NoWaypoint', message }];
}

/** For `ambit status` and an Event: what keeps a route, or a part of it, from working. */
export function problemsOfRoute({ resource, object, parents }: RouteOutcome): Problem[] {
  const { name, namespace } = object.metadata;
  const told = new Set<string>();
  return parents.flatMap(({ findings }) =>
    findings.flatMap(({ type, status, reason, message }): Problem[] => {
      const wrong = type === 'PartiallyInvalid' ? 'True' : 'False';
      if (type === 'Programmed' || status !== wrong || told.has(message)) return [];
      told.add(message);
      const remedy = `kubectl edit ${resource.plural}.${resource.group} ${name} -n ${namespace}`;
      return [{ object: `${resource.kind} ${namespace}/${name}`, reason, message, remedy }];
    }),
  );
}
