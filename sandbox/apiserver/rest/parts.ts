// What answering a request takes. Put together by start.ts, read by the routes.

import type { TokenSettings, Tokens } from '../auth/tokens.ts';
import type { Cluster } from '../cluster.ts';
import type { KubeletDialer } from './kubelet.ts';
import type { OpenApiDocuments } from './openapi.ts';

export type RouteParts = {
  readonly cluster: Cluster;
  readonly tokens: Tokens;
  readonly tokenSettings: TokenSettings;
  readonly kubelets: KubeletDialer;
  readonly serverAddress: string;
  readonly openApi: OpenApiDocuments;
};
