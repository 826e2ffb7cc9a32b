// Which cluster a command talks to: the flags kubectl has, with kubectl's defaults.

export type ClusterOptions = {
  /** Path; without it KUBECONFIG, then ~/.kube/config, then in-cluster. */
  readonly kubeconfig?: string;
  readonly context?: string;
};
