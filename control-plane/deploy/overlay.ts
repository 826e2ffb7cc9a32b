// What a ConfigMap named by a Gateway's parametersRef changes in the objects made for it: merged the way `kubectl patch`
// merges built-in kinds, lists by the key their members are told apart by. Pure. Called by desired.ts.

/** JSON. */
export type Value = null | boolean | number | string | readonly Value[] | Tree;
export type Tree = { readonly [key: string]: Value };

/** By the field that holds the list; any other list is replaced as a whole. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  env: 'name',
  volumes: 'name',
  imagePullSecrets: 'name',
  volumeMounts: 'mountPath',
  topologySpreadConstraints: 'topologyKey',
  hostAliases: 'ip',
};
/** Of a container by its number in the pod, of a Service by the one it is asked for. */
const PORT_KEYS = ['containerPort', 'port'] as const;
const DIRECTIVE = '$patch';

/** Null takes a field away; `$patch: delete` a member of a list, `$patch: replace` makes all of it new. */
export function overlay(base: Tree, patch: Tree): Tree {
  if (patch[DIRECTIVE] === 'replace') return without(patch, DIRECTIVE);
  const result: Record<string, Value> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    if (key === DIRECTIVE) continue;
    if (value === null) delete result[key];
    else result[key] = merged(key, base[key], value);
  }
  return result;
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function merged(key: string, base: Value | undefined, patch: Value): Value {
  if (isTree(patch)) return overlay(isTree(base) ? base : {}, patch);
  if (Array.isArray(patch) && Array.isArray(base)) return mergedList(key, base, patch);
  return patch;
}

function mergedList(field: string, base: readonly Value[], patch: readonly Value[]): Value {
  const key = mergeKeyOf(field, base, patch);
  if (key === undefined) return patch;
  const result: Value[] = [...base];
  for (const member of patch) {
    if (!isTree(member)) return patch;
    const index = result.findIndex((one) => isTree(one) && one[key] === member[key]);
    const before = result[index];
    if (member[DIRECTIVE] === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (isTree(before)) result[index] = overlay(before, member);
    else result.push(overlay({}, member));
  }
  return result;
}

function mergeKeyOf(
  field: string,
  base: readonly Value[],
  patch: readonly Value[],
): string | undefined {
  const all = [...base, ...patch];
  if (field === 'ports')
    return PORT_KEYS.find((key) => all.every((one) => isTree(one) && key in one));
  const key = MERGE_KEYS[field];
  return key !== undefined && all.every((one) => isTree(one) && key in one) ? key : undefined;
}

function without(tree: Tree, key: string): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([name]) => name !== key));
}
