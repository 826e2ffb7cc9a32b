// Runs a command as in a plain, unprivileged container: no capabilities, and a kernel that makes no namespaces. Used by
// tests of the loopback mode. It needs a user namespace itself; where there is none, the machine is such a place already.

import { spawnSync } from 'node:child_process';

/** The limits hold for the new user namespace and all below it; then the last capabilities go. */
const SCRIPT = `
for limit in /proc/sys/user/max_*_namespaces; do echo 0 > "$limit" || exit 99; done
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
`;

/** Words to put before a command. */
export function plainContainer(): readonly string[] {
  const prefix = ['unshare', '--user', '--map-root-user', 'sh', '-c', SCRIPT, 'sh'];
  const [program, ...args] = prefix;
  return spawnSync(program ?? '', [...args, 'true']).status === 0 ? prefix : [];
}
