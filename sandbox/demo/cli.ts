// Runs the very `ambit` that people use, as a process, against the tour's cluster.

import { execFile } from 'node:child_process';
import { entryPath } from '../../runtime/entry.ts';
import type { NamespaceStatus, Problem, WorkloadStatus } from '../../wire/status.ts';

export type MeshView = {
  readonly healthy: boolean;
  readonly mtlsShare?: number;
  readonly namespaces: readonly NamespaceStatus[];
  readonly workloads: readonly WorkloadStatus[];
  readonly problems: readonly Problem[];
};

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export type Ran = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Exit codes are the caller's to judge. @throws Error when it cannot be run or does not end */
export function ambit(
  target: { readonly kubeconfig: string },
  words: readonly string[],
): Promise<Ran> {
  const args = [entryPath('cli/main'), ...words, '--kubeconfig', target.kubeconfig];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      args,
      { timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES },
      (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') {
          reject(
            new Error(`Cannot run "ambit ${words.join(' ')}": ${error.message}`, { cause: error }),
          );
          return;
        }
        resolve({ code: Number(error?.code ?? 0), stdout, stderr });
      },
    );
  });
}

/** @throws Error with the cli's own words when it has no answer */
export async function meshView(target: { readonly kubeconfig: string }): Promise<MeshView> {
  const { stdout, stderr } = await ambit(target, ['status', '-o', 'json']);
  if (stdout === '') throw new Error(`ambit status has no answer: ${stderr.trim()}`);
  return JSON.parse(stdout) as MeshView;
}
