// What is told of a pod's enrolment, and when a newer enrolment needs its steps taken again. Called by pod-enrolment.ts.
// Pure.

import { isDeepStrictEqual } from 'node:util';
import type { Enrolment } from '../mesh/enrolment.ts';
import { MeshError } from '../mesh/failures.ts';
import { CaptureError } from './capture/capture.ts';

export type ReportedOutcome =
  | { readonly state: 'enabled' | 'removed' }
  | { readonly state: 'failed'; readonly reason: string; readonly message: string };

/** A failed step in words: the reason for programs, the message for people. */
export function describe(error: unknown): { reason: string; message: string } {
  if (error instanceof CaptureError) return { reason: error.reason, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof MeshError && error.code === 'IDENTITY_ERROR') {
    return {
      reason: 'CertificateRefused',
      message: `${message}; check that the ca is ready and its log for this identity`,
    };
  }
  return { reason: 'CaptureFailed', message };
}

/** Whether there is nothing new in `after`. Taking the steps again changes only what differs. */
export function sameSteps(before: Enrolment, after: Enrolment): boolean {
  return isDeepStrictEqual(before, after);
}
