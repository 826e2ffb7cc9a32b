// One condition as Kubernetes writes it: made of a finding, and of what stood there before. Used by the two writers.

import type { Condition } from '../../runtime/kubernetes/objects.ts';
import type { Finding } from '../translate/outcome.ts';

// Kubernetes' limit for the message of a condition.
const MAX_MESSAGE_CHARS = 32_768;

/** `now` as {@link timeText} writes it. */
export function conditionOf(
  { type, status, reason, message }: Finding,
  known: readonly Condition[],
  generation: number | undefined,
  now: string,
): Condition {
  const before = known.find((condition) => condition.type === type);
  // the time tells when the status became what it is; another message alone does not move it
  const since = before?.status === status ? before.lastTransitionTime : undefined;
  return {
    type,
    status,
    reason,
    message: message.slice(0, MAX_MESSAGE_CHARS),
    lastTransitionTime: since ?? now,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
}

/** Whether it stands there already, whenever that began. */
export function says(
  present: readonly Condition[],
  { type, status, reason, message }: Finding,
  generation: number | undefined,
): boolean {
  const found = present.find((condition) => condition.type === type);
  return (
    found !== undefined &&
    found.status === status &&
    found.reason === reason &&
    found.message === message.slice(0, MAX_MESSAGE_CHARS) &&
    found.observedGeneration === generation
  );
}

/** Kubernetes writes times in whole seconds. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
