// What a container image is in the sandbox: an entry of a small table of our own programs, or the host's file system.
// There is no registry and nothing is pulled. Called by the container's start; a wrong name never starts anything.

/** Our programs, by image name without registry and tag, as a path under the project's root without its ending. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'ambit-mesh/node-agent': 'node-agent/main',
  'ambit-mesh/ca': 'ca/main',
  'ambit-mesh/control-plane': 'control-plane/main',
  'ambit-mesh/waypoint': 'waypoint/main',
  'ambit-mesh/echo': 'sandbox/apps/echo/main',
  'ambit-mesh/client': 'sandbox/apps/client/main',
  'ambit-mesh/http-echo': 'sandbox/apps/http-echo/main',
  'ambit-mesh/http-client': 'sandbox/apps/http-client/main',
  'ambit-mesh/load': 'sandbox/apps/load/main',
  'ambit-mesh/shop': 'sandbox/apps/shop/main',
};
/** Images that are nothing but the host's file system: the container must bring its command. */
const HOST_IMAGES: ReadonlySet<string> = new Set(['host', 'sandbox/host']);

export type Image =
  | { readonly kind: 'program'; readonly entrypoint: readonly string[] }
  | { readonly kind: 'host' }
  | { readonly kind: 'unknown'; readonly message: string };

export type ImageSource = {
  /** Absolute path of a program named from the project's root without its ending. */
  readonly entry: (program: string) => string;
  readonly execPath: string;
};

/** `registry:5000/ambit-mesh/ca:1.2@sha256:…` -> `ambit-mesh/ca`. */
export function imageName(image: string): string {
  const path = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  const parts = path.split('/');
  const first = parts[0] ?? '';
  const hasRegistry = parts.length > 1 && (/[.:]/.test(first) || first === 'localhost');
  return (hasRegistry ? parts.slice(1) : parts).join('/');
}

/**
 * @param command the container's own `command`, which stands in for an image nobody knows when `isOnHost` finds it
 */
export function findImage(
  image: string,
  command: readonly string[],
  source: ImageSource,
  isOnHost: (program: string) => boolean,
): Image {
  const name = imageName(image);
  const program = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
  if (program !== undefined) {
    return { kind: 'program', entrypoint: [source.execPath, source.entry(program)] };
  }
  if (HOST_IMAGES.has(name)) return { kind: 'host' };
  const [own] = command;
  if (own !== undefined && isOnHost(own)) return { kind: 'host' };
  return { kind: 'unknown', message: unknownImage(image, own) };
}

function unknownImage(image: string, command: string | undefined): string {
  const known = [...Object.keys(PROGRAMS), ...HOST_IMAGES].join(', ');
  const why = command === undefined ? 'no command is set' : `"${command}" is not on this machine`;
  return (
    `Cannot pull image "${image}": the sandbox has no registry, and ${why}; ` +
    `use one of ${known}, or set a command that exists on this machine`
  );
}
