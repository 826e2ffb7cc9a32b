// Rules of a PodSpec beyond its schema, for pods and for templates.

import { duplicate, type FieldError, invalidValue, missingReference, required } from '../errors.ts';
import { isRecord, type JsonObject, listAt, stringAt } from '../object.ts';
import { nameProblem } from '../validate/names.ts';

const HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'];
const PORT_NAME = /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$/;
const ENV_NAME = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;

export function validatePodSpec(spec: JsonObject, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const volumes = new Set(listAt(spec, 'volumes').map((volume) => stringAt(volume, 'name') ?? ''));
  listAt(spec, 'volumes').forEach((volume, index) => {
    const at = `${path}.volumes[${index}]`;
    errors.push(...validateName(stringAt(volume, 'name'), `${at}.name`));
    const sources = isRecord(volume) ? Object.keys(volume).filter((key) => key !== 'name') : [];
    if (sources.length === 0) errors.push(required(at, 'must specify a volume type'));
  });
  if (listAt(spec, 'containers').length === 0) errors.push(required(`${path}.containers`));
  const names = new Set<string>();
  for (const list of ['initContainers', 'containers']) {
    listAt(spec, list).forEach((container, index) => {
      const at = `${path}.${list}[${index}]`;
      const name = stringAt(container, 'name') ?? '';
      if (names.has(name) && list === 'containers') errors.push(duplicate(`${at}.name`, name));
      names.add(name);
      if (isRecord(container)) errors.push(...validateContainer(container, at, volumes));
    });
  }
  return errors;
}

function validateContainer(
  container: JsonObject,
  path: string,
  volumes: ReadonlySet<string>,
): FieldError[] {
  const errors = validateName(stringAt(container, 'name'), `${path}.name`);
  const image = stringAt(container, 'image') ?? '';
  if (image === '') errors.push(required(`${path}.image`));
  else if (image !== image.trim()) {
    errors.push(
      invalidValue(`${path}.image`, image, 'must not have leading or trailing whitespace'),
    );
  }
  listAt(container, 'volumeMounts').forEach((mount, index) => {
    const name = stringAt(mount, 'name') ?? '';
    if (!volumes.has(name))
      errors.push(missingReference(`${path}.volumeMounts[${index}].name`, name));
  });
  listAt(container, 'ports').forEach((port, index) => {
    const name = stringAt(port, 'name');
    if (name !== undefined && name !== '' && !PORT_NAME.test(name)) {
      errors.push(
        invalidValue(
          `${path}.ports[${index}].name`,
          name,
          'must be at most 15 lower case letters, digits and single dashes, with at least one letter',
        ),
      );
    }
  });
  listAt(container, 'env').forEach((variable, index) => {
    const name = stringAt(variable, 'name') ?? '';
    if (!ENV_NAME.test(name)) {
      errors.push(
        invalidValue(
          `${path}.env[${index}].name`,
          name,
          "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
        ),
      );
    }
  });
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    errors.push(...validateHandler(container[probe], `${path}.${probe}`));
  }
  return errors;
}

function validateHandler(probe: unknown, path: string): FieldError[] {
  if (!isRecord(probe)) return [];
  const given = HANDLERS.filter((handler) => probe[handler] !== undefined);
  if (given.length === 0) return [required(path, 'must specify a handler type')];
  if (given.length === 1) return [];
  return [
    {
      field: `${path}.${given[1]}`,
      reason: 'FieldValueForbidden',
      message: 'Forbidden: may not specify more than 1 handler type',
    },
  ];
}

function validateName(name: string | undefined, path: string): FieldError[] {
  if (name === undefined || name === '') return [required(path)];
  const problem = nameProblem(name, 'label');
  return problem === undefined ? [] : [invalidValue(path, name, problem)];
}
