// A container's environment: the image's own, then services, envFrom and env, each over the one before; `$(NAME)` sees
// what is already there. Called by the container's start, which turns a ConfigurationError into CreateContainerConfigError.

import type { Service } from '../../../runtime/kubernetes/objects.ts';
import type { ContainerSpec, EnvFrom, EnvVar, Pod } from '../pod/pod-spec.ts';
import { SEARCH_PATH } from '../tools.ts';
import { expand } from './command.ts';
import { fieldValue, type PodFacts, resourceValue } from './downward.ts';

/** A user's object is wrong or missing: the container waits and is tried again. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

/** The values of a ConfigMap or Secret, decoded. */
export type Keys = Readonly<Record<string, Buffer>>;

/** Reads the objects of one pod's namespace; undefined when there is no such object. */
export interface ConfigSource {
  configMap(name: string): Promise<Keys | undefined>;
  secret(name: string): Promise<Keys | undefined>;
}

export type EnvironmentParts = {
  readonly pod: Pod;
  readonly facts: PodFacts;
  readonly services: Iterable<Service>;
  readonly config: ConfigSource;
};

/** @throws ConfigurationError */
export async function environmentOf(
  container: ContainerSpec,
  parts: EnvironmentParts,
): Promise<Map<string, string>> {
  const { pod } = parts;
  const variables = new Map([
    ['PATH', SEARCH_PATH],
    ['HOME', '/root'],
    ['HOSTNAME', hostnameOf(pod, parts.facts.nodeName)],
  ]);
  for (const [name, value] of serviceVariables(pod, parts.services)) variables.set(name, value);
  for (const source of container.envFrom ?? []) {
    for (const [name, value] of await everyKey(source, parts.config)) variables.set(name, value);
  }
  for (const entry of container.env ?? []) {
    const value = await valueOf(entry, variables, container, parts);
    if (value !== undefined) variables.set(entry.name, value);
  }
  return variables;
}

/** A pod in the node's network has the node's name too. */
export function hostnameOf(pod: Pod, nodeName: string): string {
  if (pod.spec.hostNetwork === true) return nodeName;
  return pod.spec.hostname ?? pod.metadata.name ?? '';
}

/** The `default/kubernetes` service always, those of the pod's namespace unless `enableServiceLinks` is off. */
export function serviceVariables(pod: Pod, services: Iterable<Service>): [string, string][] {
  const links = pod.spec.enableServiceLinks !== false;
  const variables: [string, string][] = [];
  for (const service of services) {
    const { name = '', namespace } = service.metadata;
    const isApi = namespace === 'default' && name === 'kubernetes';
    const isLinked = links && namespace === pod.metadata.namespace;
    if (isApi || isLinked) variables.push(...variablesOf(name, service));
  }
  return variables;
}

function variablesOf(name: string, service: Service): [string, string][] {
  const ip = service.spec.clusterIP;
  const ports = service.spec.ports ?? [];
  const [first] = ports;
  if (ip === undefined || ip === '' || ip === 'None' || first === undefined) return [];
  const prefix = upper(name);
  const host = ip.includes(':') ? `[${ip}]` : ip;
  const url = (port: { protocol?: string; port: number }): string =>
    `${(port.protocol ?? 'TCP').toLowerCase()}://${host}:${port.port}`;
  const variables: [string, string][] = [
    [`${prefix}_SERVICE_HOST`, ip],
    [`${prefix}_SERVICE_PORT`, String(first.port)],
    [`${prefix}_PORT`, url(first)],
  ];
  for (const port of ports) {
    const protocol = port.protocol ?? 'TCP';
    const stem = `${prefix}_PORT_${port.port}_${protocol}`;
    if (port.name !== undefined && port.name !== '') {
      variables.push([`${prefix}_SERVICE_PORT_${upper(port.name)}`, String(port.port)]);
    }
    variables.push(
      [stem, url(port)],
      [`${stem}_PROTO`, protocol.toLowerCase()],
      [`${stem}_PORT`, String(port.port)],
      [`${stem}_ADDR`, ip],
    );
  }
  return variables;
}

function upper(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}

async function everyKey(source: EnvFrom, config: ConfigSource): Promise<[string, string][]> {
  const { prefix = '', configMapRef, secretRef } = source;
  const found =
    configMapRef === undefined
      ? await named('Secret', secretRef, (name) => config.secret(name))
      : await named('ConfigMap', configMapRef, (name) => config.configMap(name));
  return Object.entries(found ?? {}).map(([key, value]) => [prefix + key, value.toString()]);
}

type Reference = { readonly name: string; readonly optional?: boolean };

/** Undefined when the object is missing and optional. */
async function named(
  kind: string,
  ref: Reference | undefined,
  read: (name: string) => Promise<Keys | undefined>,
): Promise<Keys | undefined> {
  if (ref === undefined) return undefined;
  const found = await read(ref.name);
  if (found === undefined && ref.optional !== true) {
    throw new ConfigurationError(`${kind} "${ref.name}" not found`);
  }
  return found;
}

async function valueOf(
  entry: EnvVar,
  variables: ReadonlyMap<string, string>,
  container: ContainerSpec,
  parts: EnvironmentParts,
): Promise<string | undefined> {
  const from = entry.valueFrom;
  if (from === undefined) return expand(entry.value ?? '', variables);
  const { config, pod, facts } = parts;
  try {
    if (from.fieldRef !== undefined) return fieldValue(from.fieldRef.fieldPath, pod, facts);
    if (from.resourceFieldRef !== undefined) {
      return resourceValue(from.resourceFieldRef, container, facts);
    }
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigurationError(`Cannot set variable ${entry.name}: ${message}`, { cause });
  }
  const { configMapKeyRef, secretKeyRef } = from;
  if (configMapKeyRef !== undefined) {
    const keys = await named('ConfigMap', configMapKeyRef, (name) => config.configMap(name));
    return keyOf('ConfigMap', configMapKeyRef, keys);
  }
  if (secretKeyRef !== undefined) {
    const keys = await named('Secret', secretKeyRef, (name) => config.secret(name));
    return keyOf('Secret', secretKeyRef, keys);
  }
  return '';
}

function keyOf(
  kind: string,
  ref: Reference & { readonly key: string },
  keys: Keys | undefined,
): string | undefined {
  const value = keys === undefined || !Object.hasOwn(keys, ref.key) ? undefined : keys[ref.key];
  if (value === undefined && ref.optional !== true) {
    throw new ConfigurationError(`${kind} "${ref.name}" has no key "${ref.key}"`);
  }
  return value?.toString();
}
