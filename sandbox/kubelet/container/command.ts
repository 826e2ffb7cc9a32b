// From a container's command, args, env and image to the words that are executed. Pure; called by the container's start.

import type { Image } from '../images.ts';

export type Environment = ReadonlyMap<string, string>;

/**
 * `$(NAME)` becomes the variable's value, `$$` a dollar; what names no variable stays as it is written
 * (Kubernetes, "Define Dependent Environment Variables").
 */
export function expand(text: string, variables: Environment): string {
  return text.replaceAll(/\$\$|\$\(([^()]*)\)/g, (match, name: string | undefined) =>
    match === '$$' ? '$' : (variables.get(name ?? '') ?? match),
  );
}

/** `command` replaces the image's entrypoint and its cmd, `args` only the cmd. Empty when there is nothing to run. */
export function commandLine(
  image: Extract<Image, { kind: 'program' | 'host' }>,
  container: { readonly command?: readonly string[]; readonly args?: readonly string[] },
  variables: Environment,
): string[] {
  const own = (container.command ?? []).map((word) => expand(word, variables));
  const args = (container.args ?? []).map((word) => expand(word, variables));
  if (own.length > 0) return [...own, ...args];
  return image.kind === 'program' ? [...image.entrypoint, ...args] : args;
}
