// CustomResourceDefinitions as objects: their defaults, their rules, and the status that says whether they are served.

import { compileRules } from '../cel/compile.ts';
import { timestamp } from '../cluster.ts';
import { type FieldError, invalidValue, notSupported, required } from '../errors.ts';
import {
  isRecord,
  type JsonObject,
  type KubeObject,
  listAt,
  recordAt,
  stringAt,
} from '../object.ts';
import type { Schema } from '../schema.ts';
import type { Admission, Strategy } from '../strategy/strategy.ts';
import { nameProblem } from '../validate/names.ts';
import { structuralErrors } from './structural.ts';

export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

export const DEFINITION_STRATEGY: Strategy = {
  defaults(object, old) {
    const spec = recordAt(object, 'spec');
    const names = recordAt(spec, 'names');
    const kind = stringAt(names, 'kind') ?? '';
    names['singular'] ??= kind.toLowerCase();
    names['listKind'] ??= `${kind}List`;
    spec['conversion'] ??= { strategy: 'None' };
    if (old === undefined) object.metadata.finalizers = [CLEANUP_FINALIZER];
  },
  admit(object, old, admission) {
    object['status'] = statusOf(object, old, admission);
  },
  validate(object, old) {
    return [...validateNames(object), ...validateVersions(object), ...validateChange(object, old)];
  },
};

function statusOf(
  object: KubeObject,
  old: KubeObject | undefined,
  admission: Admission,
): JsonObject {
  const spec = recordAt(object, 'spec');
  const before = recordAt(old, 'status');
  const storage = listAt(spec, 'versions').find(
    (version) => isRecord(version) && version['storage'] === true,
  );
  const stored = new Set(
    [...listAt(before, 'storedVersions'), stringAt(storage, 'name') ?? ''].map(String),
  );
  const clash = nameClash(object, admission);
  const now = timestamp(admission.cluster.clock.now());
  const condition = (type: string, ok: boolean, reason: string, message: string): JsonObject => {
    const status = ok ? 'True' : 'False';
    const same = listAt(before, 'conditions').find(
      (entry) => stringAt(entry, 'type') === type && stringAt(entry, 'status') === status,
    );
    return {
      type,
      status,
      lastTransitionTime: stringAt(same, 'lastTransitionTime') ?? now,
      reason,
      message,
    };
  };
  return {
    conditions: [
      clash === undefined
        ? condition('NamesAccepted', true, 'NoConflicts', 'no conflicts found')
        : condition('NamesAccepted', false, 'NameConflict', clash),
      clash === undefined
        ? condition(
            'Established',
            true,
            'InitialNamesAccepted',
            'the initial names have been accepted',
          )
        : condition('Established', false, 'NotAccepted', 'not all names are accepted'),
    ],
    acceptedNames: structuredClone(recordAt(spec, 'names')),
    storedVersions: [...stored],
  };
}

/** The names must not belong to another definition, or to a built-in kind of the same group. */
function nameClash(object: KubeObject, { cluster }: Admission): string | undefined {
  const spec = recordAt(object, 'spec');
  const names = recordAt(spec, 'names');
  const group = stringAt(spec, 'group');
  for (const kind of cluster.kinds.all()) {
    if (kind.group !== group) continue;
    const own = kind.custom === true && kind.plural === names['plural'];
    if (own) continue;
    if (kind.plural === names['plural']) return `"${kind.plural}" is already in use`;
    if (kind.kind === names['kind']) return `"${kind.kind}" is already in use`;
  }
  return undefined;
}

function validateNames(object: KubeObject): FieldError[] {
  const spec = recordAt(object, 'spec');
  const names = recordAt(spec, 'names');
  const errors: FieldError[] = [];
  const plural = stringAt(names, 'plural') ?? '';
  const group = stringAt(spec, 'group') ?? '';
  const expected = `${plural}.${group}`;
  if (object.metadata.name !== expected) {
    errors.push(
      invalidValue(
        'metadata.name',
        object.metadata.name,
        'must be spec.names.plural+"."+spec.group',
      ),
    );
  }
  const groupProblem = nameProblem(group, 'subdomain');
  if (groupProblem !== undefined) errors.push(invalidValue('spec.group', group, groupProblem));
  else if (!group.includes('.')) {
    errors.push(invalidValue('spec.group', group, 'should be a domain with at least one dot'));
  }
  const pluralProblem = nameProblem(plural, 'rfc1035');
  if (pluralProblem !== undefined)
    errors.push(invalidValue('spec.names.plural', plural, pluralProblem));
  const kind = stringAt(names, 'kind') ?? '';
  const kindProblem = nameProblem(kind.toLowerCase(), 'rfc1035');
  if (kindProblem !== undefined) errors.push(invalidValue('spec.names.kind', kind, kindProblem));
  return errors;
}

function validateVersions(object: KubeObject): FieldError[] {
  const spec = recordAt(object, 'spec');
  const versions = listAt(spec, 'versions');
  const errors: FieldError[] = [];
  const storage = versions.filter((version) => isRecord(version) && version['storage'] === true);
  if (storage.length !== 1) {
    errors.push(
      invalidValue(
        'spec.versions',
        versions.length,
        'must have exactly one version marked as storage version',
      ),
    );
  }
  const strategy = stringAt(recordAt(spec, 'conversion'), 'strategy');
  if (strategy !== 'None')
    errors.push(notSupported('spec.conversion.strategy', strategy, ['None']));
  const seen = new Set<string>();
  versions.forEach((version, index) => {
    const path = `spec.versions[${index}]`;
    const name = stringAt(version, 'name') ?? '';
    const problem = nameProblem(name, 'rfc1035');
    if (problem !== undefined) errors.push(invalidValue(`${path}.name`, name, problem));
    if (seen.has(name)) errors.push(invalidValue(`${path}.name`, name, 'must be unique'));
    seen.add(name);
    const schema = recordAt(version, 'schema')['openAPIV3Schema'];
    const schemaPath = `${path}.schema.openAPIV3Schema`;
    if (!isRecord(schema)) errors.push(required(schemaPath, 'schemas are required'));
    else if (schema['type'] !== 'object') {
      errors.push(
        invalidValue(`${schemaPath}.type`, schema['type'] ?? '', 'must be object at the root'),
      );
    } else {
      const wrong = structuralErrors(schema, schemaPath);
      // rules are about fields: what fields there are must be clear first
      errors.push(
        ...(wrong.length > 0 ? wrong : compileRules(schema as Schema, schemaPath).errors),
      );
    }
  });
  return errors;
}

function validateChange(object: KubeObject, old: KubeObject | undefined): FieldError[] {
  if (old === undefined) return [];
  const errors: FieldError[] = [];
  const spec = recordAt(object, 'spec');
  const before = recordAt(old, 'spec');
  for (const field of ['group', 'scope']) {
    if (spec[field] !== before[field]) {
      errors.push(invalidValue(`spec.${field}`, spec[field], 'field is immutable'));
    }
  }
  for (const field of ['plural', 'kind']) {
    const [now, then] = [recordAt(spec, 'names')[field], recordAt(before, 'names')[field]];
    if (now !== then) errors.push(invalidValue(`spec.names.${field}`, now, 'field is immutable'));
  }
  const names = new Set(listAt(spec, 'versions').map((version) => stringAt(version, 'name')));
  listAt(recordAt(old, 'status'), 'storedVersions').forEach((version, index) => {
    if (names.has(String(version))) return;
    errors.push(
      invalidValue(`status.storedVersions[${index}]`, version, 'must appear in spec.versions'),
    );
  });
  return errors;
}
