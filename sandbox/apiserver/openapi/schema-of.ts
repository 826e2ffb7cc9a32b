// The schema of each built-in kind: what defaulting, validation, patches, server-side apply and `kubectl explain` read.
// A kind without one of its own is stored as it comes.

import { anything, type Schema } from '../schema.ts';
import { resource } from '../schemas/meta.ts';
import { APPS_KINDS } from './kinds/apps.ts';
import { CORE_KINDS } from './kinds/core.ts';
import { GROUP_KINDS } from './kinds/groups.ts';
import { POD_KINDS } from './kinds/pod.ts';

/** By `Kind` for the core group, by `Kind.group` for others. */
const SCHEMAS: Readonly<Record<string, Schema>> = {
  ...POD_KINDS,
  ...CORE_KINDS,
  ...APPS_KINDS,
  ...GROUP_KINDS,
};

export function schemaOf(group: string, kind: string): Schema {
  return (
    SCHEMAS[group === '' ? kind : `${kind}.${group}`] ??
    resource(kind, { spec: anything(), status: anything() })
  );
}
