// Where the kernel has no namespaces for us there are no mounts: a container's mount paths are rewritten to the real
// directories wherever its variables and arguments begin with one, also after `--flag=`. Pure; used in loopback mode
// only. A program that has such a path built in does not find its files there: it must be told by variable or argument.

export type Mapping = { readonly target: string; readonly source: string };

/** Longest target first, each also under its other name: /var/run is /run on every current system. */
function orderedMappings(mappings: readonly Mapping[]): Mapping[] {
  const all = mappings.flatMap(({ target, source }) => {
    const path = target.length > 1 ? target.replace(/\/+$/, '') : target;
    if (path.startsWith('/var/run/')) {
      return [
        { target: path, source },
        { target: path.slice('/var'.length), source },
      ];
    }
    if (path.startsWith('/run/'))
      return [
        { target: path, source },
        { target: `/var${path}`, source },
      ];
    return [{ target: path, source }];
  });
  return all.toSorted((a, b) => b.target.length - a.target.length);
}

/** Rewrites one variable's value or one argument. */
export function rewriter(mappings: readonly Mapping[]): (text: string) => string {
  const ordered = orderedMappings(mappings);
  return (text) => {
    const start = /^(--?[\w.-]+=)?/.exec(text)?.[0] ?? '';
    const path = text.slice(start.length);
    for (const { target, source } of ordered) {
      if (path === target) return start + source;
      if (path.startsWith(`${target}/`)) return start + source + path.slice(target.length);
    }
    return text;
  };
}
