// Controllers of pods: rollout defaults, selectors that fit their template and never change.

import { randomUUID } from 'node:crypto';
import { deepEqual } from '../equal.ts';
import {
  type FieldError,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
} from '../errors.ts';
import { isRecord, type JsonObject, type KubeObject, recordAt, stringAt } from '../object.ts';
import { fromObjectSelector, matchesLabels } from '../selectors.ts';
import { validateLabels } from '../validate/names.ts';
import { fillPodDefaults } from './pod-defaults.ts';
import { validatePodSpec } from './pod-validation.ts';
import type { Strategy } from './strategy.ts';

const RESTARTED_ALWAYS = ['Always'];
const RUN_TO_END = ['OnFailure', 'Never'];

export const DEPLOYMENT_STRATEGY: Strategy = {
  defaults(object) {
    defaultTemplate(object);
    const strategy = recordAt(recordAt(object, 'spec'), 'strategy');
    if (strategy['type'] !== 'RollingUpdate') return;
    strategy['rollingUpdate'] = {
      maxUnavailable: '25%',
      maxSurge: '25%',
      ...recordAt(strategy, 'rollingUpdate'),
    };
  },
  validate(object, old) {
    const strategy = recordAt(recordAt(object, 'spec'), 'strategy');
    const errors = validateWorkload(object, old, RESTARTED_ALWAYS);
    if (strategy['type'] === 'Recreate' && strategy['rollingUpdate'] !== undefined) {
      errors.push(
        forbiddenField(
          'spec.strategy.rollingUpdate',
          "may not be specified when strategy `type` is 'Recreate'",
        ),
      );
    }
    return errors;
  },
};

export const REPLICA_SET_STRATEGY: Strategy = {
  defaults: defaultTemplate,
  validate: (object, old) => validateWorkload(object, old, RESTARTED_ALWAYS),
};

export const DAEMON_SET_STRATEGY: Strategy = {
  defaults(object) {
    defaultTemplate(object);
    const strategy = recordAt(recordAt(object, 'spec'), 'updateStrategy');
    if (strategy['type'] !== 'RollingUpdate') return;
    strategy['rollingUpdate'] = {
      maxUnavailable: 1,
      maxSurge: 0,
      ...recordAt(strategy, 'rollingUpdate'),
    };
  },
  validate: (object, old) => validateWorkload(object, old, RESTARTED_ALWAYS),
};

export const STATEFUL_SET_STRATEGY: Strategy = {
  defaults(object) {
    defaultTemplate(object);
    const spec = recordAt(object, 'spec');
    const strategy = recordAt(spec, 'updateStrategy');
    if (strategy['type'] === 'RollingUpdate') {
      strategy['rollingUpdate'] = { partition: 0, ...recordAt(strategy, 'rollingUpdate') };
    }
    spec['persistentVolumeClaimRetentionPolicy'] ??= {
      whenDeleted: 'Retain',
      whenScaled: 'Retain',
    };
  },
  validate: (object, old) => validateWorkload(object, old, RESTARTED_ALWAYS),
};

export const JOB_STRATEGY: Strategy = {
  defaults(object, old) {
    const spec = recordAt(object, 'spec');
    if (spec['completions'] === undefined && spec['parallelism'] === undefined)
      spec['completions'] = 1;
    spec['parallelism'] ??= 1;
    if (old === undefined && spec['manualSelector'] !== true) labelJobPods(object, spec);
    defaultTemplate(object);
  },
  validate: (object, old) => validateWorkload(object, old, RUN_TO_END),
};

export const CRON_JOB_STRATEGY: Strategy = {
  defaults(object) {
    const jobSpec = recordAt(recordAt(recordAt(object, 'spec'), 'jobTemplate'), 'spec');
    fillPodDefaults(recordAt(recordAt(jobSpec, 'template'), 'spec'));
  },
  validate(object) {
    const spec = recordAt(object, 'spec');
    const errors: FieldError[] = [];
    const schedule = stringAt(spec, 'schedule') ?? '';
    if (!/^(@\w+( \S+)?|(\S+\s+){4}\S+)$/.test(schedule.trim())) {
      errors.push(
        invalidValue(
          'spec.schedule',
          schedule,
          'expected five fields or a descriptor such as @hourly',
        ),
      );
    }
    const template = recordAt(recordAt(recordAt(spec, 'jobTemplate'), 'spec'), 'template');
    errors.push(...validateTemplate(template, 'spec.jobTemplate.spec.template', RUN_TO_END));
    return errors;
  },
};

function defaultTemplate(object: KubeObject): void {
  const template = recordAt(recordAt(object, 'spec'), 'template');
  if (isRecord(template['spec'])) fillPodDefaults(template['spec']);
}

/** A job finds its pods by its own uid, so that no two jobs share pods. */
function labelJobPods(object: KubeObject, spec: JsonObject): void {
  const uid = object.metadata.uid ?? randomUUID();
  const name = object.metadata.name ?? '';
  const template = recordAt(spec, 'template');
  const metadata = recordAt(template, 'metadata');
  metadata['labels'] = {
    ...recordAt(metadata, 'labels'),
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': name,
    'controller-uid': uid,
    'job-name': name,
  };
  template['metadata'] = metadata;
  spec['selector'] = { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } };
}

function validateWorkload(
  object: KubeObject,
  old: KubeObject | undefined,
  restartPolicies: readonly string[],
): FieldError[] {
  const spec = recordAt(object, 'spec');
  const errors: FieldError[] = [];
  const selector = fromObjectSelector(spec['selector']);
  const template = recordAt(spec, 'template');
  const labels = recordAt(recordAt(template, 'metadata'), 'labels') as Record<string, string>;
  if (selector.length === 0) {
    errors.push(
      isRecord(spec['selector'])
        ? invalidValue(
            'spec.selector',
            spec['selector'],
            'empty selector is invalid for a workload',
          )
        : required('spec.selector'),
    );
  } else if (!matchesLabels(selector, labels)) {
    errors.push(
      invalidValue(
        'spec.template.metadata.labels',
        labels,
        '`selector` does not match template `labels`',
      ),
    );
  }
  if (old !== undefined && !deepEqual(spec['selector'], recordAt(old, 'spec')['selector'])) {
    errors.push(invalidValue('spec.selector', spec['selector'], 'field is immutable'));
  }
  errors.push(...validateTemplate(template, 'spec.template', restartPolicies));
  return errors;
}

export function validateTemplate(
  template: JsonObject,
  path: string,
  restartPolicies: readonly string[],
): FieldError[] {
  const labels = recordAt(recordAt(template, 'metadata'), 'labels');
  const spec = recordAt(template, 'spec');
  const errors = [
    ...validateLabels(labels, `${path}.metadata.labels`),
    ...validatePodSpec(spec, `${path}.spec`),
  ];
  const policy = stringAt(spec, 'restartPolicy');
  if (policy !== undefined && !restartPolicies.includes(policy)) {
    errors.push(notSupported(`${path}.spec.restartPolicy`, policy, restartPolicies));
  }
  return errors;
}
