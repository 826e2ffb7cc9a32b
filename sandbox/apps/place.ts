// Which pod an app runs in, from the environment that its manifest fills by the downward API. Read by each app's main.

export type Place = { readonly pod: string; readonly namespace: string; readonly ip: string };

export function readPlace(env: Readonly<Record<string, string | undefined>>): Place {
  return {
    pod: env['POD_NAME'] ?? env['HOSTNAME'] ?? '',
    namespace: env['POD_NAMESPACE'] ?? '',
    ip: env['POD_IP'] ?? '',
  };
}
