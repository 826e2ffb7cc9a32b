// Host names as routes and listeners compare them: without port, in lower case, without the dot of the DNS root. Read by
// the rules of this folder and by the waypoint's choice of a listener. Pure.

/** The host of `host`, `host:port` or `[v6]:port`, ready to be compared. */
export function hostOf(authority: string): string {
  const end = authority.startsWith('[') ? authority.indexOf(']') + 1 : authority.indexOf(':');
  const host = (end > 0 ? authority.slice(0, end) : authority).toLowerCase();
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

/**
 * Every hostname of a route or listener that `host` meets, the most specific first: itself, then `*.` with ever fewer of
 * its labels behind (a wildcard stands for one label or more), last the empty one, which means any host.
 */
export function hostPatternsOf(host: string): readonly string[] {
  const patterns = host === '' ? [] : [host];
  // RFC 1035: 253 characters at most; what is longer, or an address, is met by "any host" alone
  if (host.length <= 253 && !host.startsWith('[')) {
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      patterns.push(`*${host.slice(dot)}`);
    }
  }
  patterns.push('');
  return patterns;
}
