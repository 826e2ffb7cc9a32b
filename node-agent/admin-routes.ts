// What the admin door shows of this agent: /config_dump in the reference's JSON shape, /connections, /certificates, and
// /snapshot for those who explain its decisions. Called by app.ts. Everything here only reads.

import { json, type Routes } from '../runtime/http-door.ts';
import { encodeShown } from '../runtime/shown-snapshot.ts';
import type { OpenConnectionDump } from '../wire/config-dump.ts';
import type { AdminView } from './admin-view.ts';
import { configDump, describeCertificates } from './config-dump.ts';
import { describeOpen } from './connection-dump.ts';

export function adminRoutes(view: AdminView): Routes {
  return {
    '/config_dump': () => json(configDump(view)),
    '/connections': ({ url }) => json(openConnections(view, url.searchParams.get('pod'))),
    '/certificates': () => json(describeCertificates(view.certificates)),
    '/snapshot': () => ({
      contentType: 'application/octet-stream',
      body: encodeShown(view.discovery.snapshot(), view.clock.now()),
    }),
  };
}

/** `pod` is a pod's UID, its `namespace/name`, or its name. */
function openConnections(view: AdminView, pod: string | null): OpenConnectionDump[] {
  const names = new Map(
    [...view.enrolments.pods()].map(({ enrolment }) => [
      enrolment.podUid,
      `${enrolment.namespace}/${enrolment.name}`,
    ]),
  );
  const now = view.clock.monotonic();
  const rows: OpenConnectionDump[] = [];
  for (const connection of view.connections.open()) {
    const name = names.get(connection.podUid) ?? '';
    const isAsked =
      pod === null || [connection.podUid, name, name.slice(name.indexOf('/') + 1)].includes(pod);
    if (isAsked) rows.push(describeOpen(connection, name, now));
  }
  return rows;
}
