// Kernel settings (below /proc/sys) of the namespaces that forward: the sandbox's own and each node's. Pure.

/** A router without opinions: forwards, believes any source, sends no redirects, waits for no address checks. */
export function routerSettings(ipv6: boolean): Record<string, string> {
  const settings: Record<string, string> = { 'net/ipv4/ip_forward': '1' };
  for (const scope of ['all', 'default']) {
    settings[`net/ipv4/conf/${scope}/rp_filter`] = '0';
    settings[`net/ipv4/conf/${scope}/send_redirects`] = '0';
    if (!ipv6) continue;
    settings[`net/ipv6/conf/${scope}/disable_ipv6`] = '0';
    settings[`net/ipv6/conf/${scope}/accept_dad`] = '0';
    settings[`net/ipv6/conf/${scope}/forwarding`] = '1';
  }
  return settings;
}

/** A pod may use low ports and ping without privileges, as with containerd's defaults. */
export function podSettings(ipv6: boolean): Record<string, string> {
  return {
    'net/ipv4/conf/all/rp_filter': '0',
    'net/ipv4/conf/default/rp_filter': '0',
    'net/ipv4/ip_unprivileged_port_start': '0',
    'net/ipv4/ping_group_range': '0 0',
    ...(ipv6
      ? {
          'net/ipv6/conf/all/disable_ipv6': '0',
          'net/ipv6/conf/default/disable_ipv6': '0',
          'net/ipv6/conf/all/accept_dad': '0',
          'net/ipv6/conf/default/accept_dad': '0',
        }
      : {}),
  };
}
