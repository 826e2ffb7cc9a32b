// The sandbox's network as its kubelets and controllers see it: nodes, pods, service addresses, names and the link
// between nodes. Two drivers implement it: netns/ (network namespaces, veth, nft) and loopback/ (addresses of
// 127.0.0.0/8). Invariant of both: a server sees the address of the pod or node that called it.

import type { ChildProcess, StdioOptions } from 'node:child_process';
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Server as NetServer, Socket } from 'node:net';
import type { ServiceRecord } from './dns/records.ts';
import type { LinkPacket } from './packet.ts';

export type NetworkMode = 'netns' | 'loopback';

export interface ClusterNetwork {
  readonly mode: NetworkMode;
  /** Where the API server is to listen, and where pods reach it; free when the network opens. */
  readonly apiServer: { readonly host: string; readonly port: number };
  /** IPv4 first; IPv6 only where the driver and the kernel have it. */
  readonly serviceCidrs: readonly string[];
  /** Of the cluster DNS: the tenth of the first service range, or apart from Services' ranges when they are not ours. */
  readonly clusterDns: string;
  /** `name` is the Node object's name. */
  addNode(name: string): Promise<NodeNetwork>;
  /** Replaces what the cluster DNS answers from. */
  syncNames(records: readonly ServiceRecord[]): void;
  /** Sees each packet that crosses the link between nodes once. */
  captureLink(onPacket: (packet: LinkPacket) => void): LinkCapture;
  close(): Promise<void>;
}

export type LinkCapture = {
  /** Packets that could not be kept up with, so far. */
  readonly dropped: () => number;
  close(): void;
};

export interface NodeNetwork {
  readonly name: string;
  /** IPv4, then IPv6 if there is one. */
  readonly addresses: readonly string[];
  readonly podCidrs: readonly string[];
  /** For hostNetwork pods. */
  readonly host: PodNetwork;
  addPod(pod: PodIdentity): Promise<PodNetwork>;
  /** Connects from the node's own address, as a kubelet's probes do. Rejects with the socket's error. */
  dial(ip: string, port: number, signal?: AbortSignal): Promise<Socket>;
  /** Makes `server` listen on the node's addresses only. */
  listen(port: number, server: NetServer | HttpServer | HttpsServer): Promise<void>;
  /** Replaces what service addresses lead to, for the node's pods and its own processes, at one stroke. */
  syncServices(table: readonly ServiceRule[]): Promise<void>;
  close(): Promise<void>;
}

export type PodIdentity = {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
};

export interface PodNetwork {
  readonly addresses: readonly string[];
  /** `/proc/PID/ns/net` of a process that lives as long as the pod's network; undefined in loopback mode. */
  readonly netnsPath: string | undefined;
  /** The text of the pod's /etc/resolv.conf (dnsPolicy ClusterFirst). */
  readonly resolvConf: string;
  /**
   * Starts a process in the pod's network. It stays the caller's to end.
   * @throws Error in loopback mode when `command` is no Node.js program: only those can be given the pod's address
   */
  spawn(command: readonly string[], options: PodSpawnOptions): ChildProcess;
  /** Connects to the pod's own localhost, as a port-forward does. */
  dial(port: number, signal?: AbortSignal): Promise<Socket>;
  close(): Promise<void>;
}

export type PodSpawnOptions = {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdio: StdioOptions;
  /** Leads its own process group, so that the caller can signal all of it. */
  readonly detached?: boolean;
};

export type ServiceRule = {
  readonly namespace: string;
  readonly name: string;
  readonly clusterIps: readonly string[];
  readonly ports: readonly ServiceRulePort[];
  /** Seconds; undefined: none. The value's length is not kept: a client keeps its endpoint while the set is the same. */
  readonly sessionAffinityClientIp?: number;
  /** internalTrafficPolicy Local: only endpoints of this node. */
  readonly internalLocal: boolean;
};

export type ServiceRulePort = {
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
  readonly nodePort?: number;
  readonly endpoints: readonly {
    readonly ip: string;
    readonly port: number;
    readonly local: boolean;
  }[];
};
