// The annotations by which a pod's owner says what is left out of its capture -> CaptureOptions. Called by enrolment.ts and,
// for what is wrong with them, by world.ts. Invariant: a value that cannot be read leaves the traffic captured and becomes a
// Problem; the pod's other annotations hold.

import {
  CAPTURE_EVERYTHING,
  type CaptureOptions,
  MAX_RANGES,
  type PortRange,
} from '../../mesh/capture-options.ts';
import { parseCidr } from '../../mesh/cidr.ts';
import type { Cidr } from '../../mesh/policy.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';

const GROUP = 'ambit-mesh.io/';
const HIGHEST_PORT = 65_535;

type Reading = { readonly options: CaptureOptions; readonly problems: readonly Problem[] };

const NOTHING_SAID: Reading = { options: CAPTURE_EVERYTHING, problems: [] };

export function captureOptionsOf(pod: Pod): Reading {
  const annotations = pod.metadata.annotations ?? {};
  const said = Object.entries(annotations).filter(([name]) => isOurs(name));
  if (said.length === 0) return NOTHING_SAID;
  let options = CAPTURE_EVERYTHING;
  const problems: Problem[] = [];
  for (const [name, value] of said) {
    try {
      options = { ...options, ...read(name.slice(GROUP.length), value) };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      problems.push(problemOf(pod, name, value, why));
    }
  }
  return { options, problems };
}

/** Names that begin as ours do are meant for us: a slip in one must not pass unseen. */
function isOurs(name: string): boolean {
  return /^ambit-mesh\.io\/(exclude|dns-capture|bypass)/.test(name);
}

/** @throws SyntaxError saying what was expected */
function read(name: string, value: string): Partial<CaptureOptions> {
  switch (name) {
    case 'exclude-inbound-ports':
      return { excludeInboundPorts: listOf(value, readPorts) };
    case 'exclude-outbound-ports':
      return { excludeOutboundPorts: listOf(value, readPorts) };
    case 'exclude-inbound-cidrs':
      return { excludeInboundCidrs: listOf(value, readCidr) };
    case 'exclude-outbound-cidrs':
      return { excludeOutboundCidrs: listOf(value, readCidr) };
    case 'dns-capture':
      return { dns: readBoolean(value) ? 'on' : 'off' };
    case 'bypass-inbound-capture':
      return { bypassInbound: readBoolean(value) };
    default:
      throw new SyntaxError('no annotation of this name is known');
  }
}

function listOf<T>(value: string, readOne: (text: string) => T): T[] {
  const items = value.split(',').map((item) => item.trim());
  // an empty value says "nothing", as Linkerd and Istio have it; a comma too many is forgiven by neither of us
  if (items.length === 1 && items[0] === '') return [];
  if (items.length > MAX_RANGES) {
    throw new SyntaxError(`it has ${items.length} items: at most ${MAX_RANGES} are taken`);
  }
  return items.map(readOne);
}

function readPorts(text: string): PortRange {
  const [, from = '', to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (from === '' || first < 1 || last < first || last > HIGHEST_PORT) {
    throw new SyntaxError(`"${text.slice(0, 50)}" is neither a port nor a range such as 8000-8100`);
  }
  return { first, last };
}

function readCidr(text: string): Cidr {
  try {
    return parseCidr(text);
  } catch (cause) {
    const message = `"${text.slice(0, 50)}" is no address range such as 10.0.0.0/8`;
    throw new SyntaxError(message, { cause });
  }
}

function readBoolean(value: string): boolean {
  if (value === 'true') return true;
  if (value === 'false') return false;
  throw new SyntaxError('expected "true" or "false"');
}

function problemOf(pod: Pod, annotation: string, value: string, why: string): Problem {
  const { name = '', namespace = '' } = pod.metadata;
  return {
    object: `Pod ${namespace}/${name}`,
    reason: 'InvalidAnnotation',
    message: `Annotation ${annotation} is "${value.slice(0, 200)}": ${why}. It is ignored, so this traffic stays captured`,
    remedy:
      `Mend it in the pod's template, or: kubectl annotate pod ${name} -n ${namespace} ${annotation}- `.trim(),
  };
}
