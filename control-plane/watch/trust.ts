// The ConfigMaps that say whom the mesh believes, followed, and the trust bundles made of them. Started and closed by
// app.ts; tells of each change, which is batched there.

import type { TrustBundle } from '../../mesh/trust.ts';
import { type InformerParts, inform } from '../../runtime/kubernetes/informer.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS } from '../../runtime/kubernetes/resources.ts';
import {
  CRL_MAP,
  FOREIGN_MAP,
  ROOT_KEY,
  ROOT_MAP,
  ROTATION_MAP,
  type RotationStatus,
  readRotationStatus,
  STATUS_KEY,
} from '../../wire/rotation.ts';
import type { Problem } from '../../wire/status.ts';
import { type TrustMemo, type TrustSettings, trustOf } from '../translate/trust.ts';

export type TrustWatch = {
  /** Resolves once they were listed. */
  readonly synced: Promise<void>;
  /** Whom to believe now. */
  read(): { readonly bundles: readonly TrustBundle[]; readonly problems: readonly Problem[] };
  /** How far the CA is with a rotation, as it last said. */
  rotation(): RotationStatus | undefined;
  /** The CA's ConfigMap itself; undefined while it has not written any. */
  rootMap(): ConfigMap | undefined;
  /** The mesh's roots in one text; empty while the CA has not published them. */
  rootsPem(): string;
  close(): Promise<void>;
};

const NAMES: readonly (string | undefined)[] = [ROOT_MAP, ROTATION_MAP, CRL_MAP, FOREIGN_MAP];

export function watchTrust(
  parts: InformerParts,
  settings: TrustSettings,
  onChange: () => void,
): TrustWatch {
  const { namespace } = settings;
  const maps = inform<ConfigMap>(parts, CONFIG_MAPS, { namespace });
  const memo: TrustMemo = new Map();
  const unsubscribe = maps.subscribe(({ object }) => {
    if (NAMES.includes(object.metadata.name)) onChange();
  });
  const rotation = (): RotationStatus | undefined =>
    readRotationStatus(maps.get(ROTATION_MAP, namespace)?.data?.[STATUS_KEY]);
  return {
    synced: maps.synced,
    rotation,
    rootMap: () => maps.get(ROOT_MAP, namespace),
    rootsPem: () => maps.get(ROOT_MAP, namespace)?.data?.[ROOT_KEY] ?? '',
    read: () =>
      trustOf(
        {
          roots: maps.get(ROOT_MAP, namespace),
          crls: maps.get(CRL_MAP, namespace),
          foreign: maps.get(FOREIGN_MAP, namespace),
          rotation: rotation(),
        },
        settings,
        memo,
      ),
    async close() {
      unsubscribe();
      await maps.close();
    },
  };
}
