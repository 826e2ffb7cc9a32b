// Which cluster a command talks to: the flags kubectl has, with kubectl's defaults.

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { CommandFailure } from '../exit.ts';

export type ClusterOptions = {
  /** Path; main.ts fills it in by {@link findKubeconfig} when the flag is not given. */
  readonly kubeconfig?: string;
  readonly context?: string;
};

/**
 * The flag, then KUBECONFIG (the first of its files that exists), then ~/.kube/config.
 * @throws CommandFailure when there is none of them
 */
export function findKubeconfig(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): string {
  if (flag !== undefined) return flag;
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  const candidates = named.length > 0 ? named : [join(homedir(), '.kube', 'config')];
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new CommandFailure(
    `Cannot find a kubeconfig: ${candidates.join(', ')} is not there. Give --kubeconfig FILE, or start a cluster: ambit sandbox up --detach; export KUBECONFIG=$(ambit sandbox kubeconfig)`,
  );
}

/** Nothing but where the cluster is: a command's other options are its own. */
export function clusterOf({ kubeconfig, context }: ClusterOptions): ClusterOptions {
  return {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
  };
}
