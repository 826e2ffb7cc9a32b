// One write as the REST layer hands it over: who asks, on what, and with which options.

import type { User } from '../cluster.ts';
import type { KindDefinition } from '../kinds.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export type WriteRequest = {
  readonly kind: KindDefinition;
  readonly namespace: string | undefined;
  readonly user: User;
  readonly subresource?: string;
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
  readonly fieldManager: string;
  readonly force: boolean;
  /** Adds a Warning header to the answer. */
  readonly warn: (message: string) => void;
};
