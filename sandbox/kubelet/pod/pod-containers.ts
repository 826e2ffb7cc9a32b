// From a container's spec to its running process: image, variables, mounts, words. Called by container.ts through pod.ts,
// once a start. Invariant: nothing is started before everything the container asks for was found.

import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { commandLine, expand } from '../container/command.ts';
import { ImageError, type StartedRun } from '../container/container.ts';
import type { ExecTarget } from '../container/container-exec.ts';
import { startContainer } from '../container/container-start.ts';
import type { PodFacts } from '../container/downward.ts';
import { ConfigurationError, environmentOf, hostnameOf } from '../container/environment.ts';
import type { Bind } from '../container/mount-view.ts';
import { findImage } from '../images.ts';
import type { ContainerLog } from '../logs/container-log.ts';
import { type NodeParts, type NodeSettings, podDirectory } from '../node-parts.ts';
import { findProgram } from '../tools.ts';
import { configSource } from '../volumes/config-source.ts';
import type { VolumePaths } from '../volumes/volumes.ts';
import type { PodSandbox } from './pod-life.ts';
import { type ContainerSpec, type Pod, podRef, type VolumeMount } from './pod-spec.ts';

export type PodOnNode = {
  readonly pod: Pod;
  readonly sandbox: PodSandbox;
  readonly facts: PodFacts;
  /** Files bound over those of /etc. */
  readonly etc: readonly Bind[];
};

const TOKEN_MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** @throws ImageError, ConfigurationError, RangeError, StartError */
export async function startInPod(
  container: ContainerSpec,
  { pod, sandbox, facts, etc }: PodOnNode,
  log: ContainerLog,
  parts: NodeParts,
  settings: NodeSettings,
): Promise<StartedRun> {
  const ref = podRef(pod);
  const variables = await environmentOf(container, {
    pod,
    facts,
    services: parts.services(),
    config: configSource(parts.client, ref.namespace),
  });
  const image = findImage(
    container.image ?? '',
    (container.command ?? []).map((word) => expand(word, variables)),
    settings.images,
    (program) => findProgram(program, variables.get('PATH')) !== undefined,
  );
  if (image.kind === 'unknown') throw new ImageError(image.message);
  const command = commandLine(image, container, variables);
  if (command.length === 0) throw new ConfigurationError('no command specified');

  const mounts = await bindsOf(container.volumeMounts ?? [], sandbox.volumes);
  const { isolation } = parts;
  if (isolation.mode === 'loopback') tellApiServer(mounts, variables, ref.uid, settings);
  const directory = podDirectory(settings.nodeDir, ref.uid);
  const user = image.kind === 'host' ? userOf(container, pod) : undefined;
  const workingDir = container.workingDir ?? '/';
  const binds = isolation.mode === 'loopback' ? mounts : [...etc, ...mounts];
  const process = await startContainer(
    { network: sandbox.network, isolation, log },
    {
      command,
      variables,
      binds,
      workingDir,
      hostname: hostnameOf(pod, settings.nodeName),
      podDirectory: directory,
      ...(user === undefined ? {} : { user }),
    },
  );
  const exec: ExecTarget = {
    network: sandbox.network,
    isolation,
    pid: process.pid,
    variables,
    binds,
    workingDir,
    podDirectory: directory,
  };
  const [podIp = '127.0.0.1'] = facts.podIps;
  return { process, target: { node: parts.network, podIp, container, exec } };
}

async function bindsOf(mounts: readonly VolumeMount[], volumes: VolumePaths): Promise<Bind[]> {
  const binds: Bind[] = [];
  for (const mount of mounts) {
    const volume = volumes.get(mount.name);
    if (volume === undefined) {
      throw new ConfigurationError(`no volume "${mount.name}" for mount "${mount.mountPath}"`);
    }
    const source = await subPathOf(mount, volume);
    const found = await stat(source);
    binds.push({
      source,
      kind: found.isDirectory() ? 'directory' : 'file',
      target: mount.mountPath,
      readOnly: mount.readOnly === true,
    });
  }
  return binds;
}

async function subPathOf(mount: VolumeMount, volume: string): Promise<string> {
  const { subPath = '' } = mount;
  if (subPath === '') return volume;
  if (subPath.startsWith('/') || subPath.split('/').includes('..')) {
    throw new ConfigurationError(`subPath "${subPath}" must stay inside volume "${mount.name}"`);
  }
  const path = join(volume, subPath);
  // as in Kubernetes: a subPath that is not there is made, as a directory
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) await mkdir(path, { recursive: true });
  return path;
}

/** Clients inside the pod find no in-cluster files: they are given the pod's own kubeconfig. */
function tellApiServer(
  mounts: readonly Bind[],
  variables: Map<string, string>,
  uid: string,
  settings: NodeSettings,
): void {
  const hasToken = mounts.some(({ target }) => target === TOKEN_MOUNT);
  if (!hasToken || variables.has('AMBIT_KUBECONFIG')) return;
  variables.set('AMBIT_KUBECONFIG', kubeconfigPath(settings.nodeDir, uid));
}

function kubeconfigPath(nodeDir: string, uid: string): string {
  return join(podDirectory(nodeDir, uid), 'kubeconfig');
}

/** The file is read anew for each request: by kubectl's word for it, and by the one @kubernetes/client-node knows. */
function tokenUser(tokenFile: string): object {
  return { tokenFile, 'auth-provider': { name: 'tokenFile', config: { tokenFile } } };
}

/** The path of a pod's kubeconfig and its text (JSON is YAML); undefined when the pod mounts no token. */
export function podKubeconfig(
  pod: Pod,
  volumes: VolumePaths,
  settings: NodeSettings,
): { readonly path: string; readonly text: string } | undefined {
  const mount = pod.spec.containers
    .flatMap(({ volumeMounts = [] }) => volumeMounts)
    .find(({ mountPath }) => mountPath === TOKEN_MOUNT);
  const directory = mount === undefined ? undefined : volumes.get(mount.name);
  if (directory === undefined || settings.apiServerUrl === undefined) return undefined;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'sandbox',
        cluster: {
          server: settings.apiServerUrl,
          ...(settings.apiServerName === undefined
            ? {}
            : { 'tls-server-name': settings.apiServerName }),
          'certificate-authority': join(directory, 'ca.crt'),
        },
      },
    ],
    users: [{ name: 'pod', user: tokenUser(join(directory, 'token')) }],
    contexts: [
      {
        name: 'pod',
        context: { cluster: 'sandbox', user: 'pod', namespace: pod.metadata.namespace },
      },
    ],
    'current-context': 'pod',
  };
  const { uid } = podRef(pod);
  return { path: kubeconfigPath(settings.nodeDir, uid), text: JSON.stringify(config) };
}

function userOf(container: ContainerSpec, pod: Pod): { uid: number; gid: number } | undefined {
  const uid = container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser;
  const gid = container.securityContext?.runAsGroup ?? pod.spec.securityContext?.runAsGroup;
  return uid === undefined || uid === 0 ? undefined : { uid, gid: gid ?? uid };
}
