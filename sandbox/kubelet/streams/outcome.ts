// How a command's end is told to the client: a metav1.Status on the error channel (protocol v4 and later).

import type { ExecOutcome } from './session.ts';

export function outcomeStatus(outcome: ExecOutcome): Readonly<Record<string, unknown>> {
  if ('error' in outcome) {
    return {
      metadata: {},
      status: 'Failure',
      reason: 'InternalError',
      message: outcome.error,
      code: 500,
    };
  }
  if (outcome.exitCode === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: exit status ${outcome.exitCode}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(outcome.exitCode) }] },
  };
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
