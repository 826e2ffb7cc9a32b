// What the control plane tells each proxy it deploys, and what it makes of it where a Gateway does not say. Made by app.ts
// of its own settings.

export type DeploySettings = {
  readonly image: string;
  readonly replicas: number;
  /** Where the mesh itself is. */
  readonly namespace: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly cluster: string;
  readonly network: string;
  readonly caAddress: string;
  readonly controlPlaneAddress: string;
  /** Of the tokens the proxies show to the CA and the control plane. */
  readonly audience: string;
  /** Where their traces go, and how many; undefined: nowhere, unless an overlay of the Gateway says. */
  readonly otlpEndpoint: string | undefined;
  readonly traceSampling: string | undefined;
};
