// Conditions of policies in CEL: compiled once, evaluated for each request. Called by conditions.ts for decisions,
// and by the control plane to say in a policy's status what is wrong with one. Invariants: an expression that is let in
// ends within a bounded number of steps; one that fails, or gives no bool, has no answer rather than a wrong one.

import { type CelInput, CelScalar, celEnv, celFunc, parse, plan } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { type IpAddress, parseIp } from '../mesh/address.ts';
import { inCidr, parseCidr } from '../mesh/cidr.ts';
import { formatIdentity } from '../mesh/identity.ts';
import { type Claims, tokenPrincipalOf } from '../mesh/request-authentication.ts';
import { hostForms, type RequestFacts, remoteIpOf } from '../mesh/request-subject.ts';

export type Condition = (facts: RequestFacts) => boolean | undefined;

/** Longer ones belong into an authorization service. */
const MAX_CHARS = 1024;
/** Steps, with lists taken to have {@link LIKELY_MEMBERS}: some milliseconds at most. */
const MAX_COST = 20_000;
const LIKELY_MEMBERS = 100;
/** A request with a longer list has no answer. */
const MAX_MEMBERS = 1000;
/** Of nested claims. */
const MAX_DEPTH = 16;

const { BOOL, STRING } = CelScalar;
/** Those whose result is no longer than what they are given. */
const KEPT_STRINGS = new Set([
  'lowerAscii',
  'upperAscii',
  'trim',
  'indexOf',
  'lastIndexOf',
  'substring',
  'charAt',
]);

const ENVIRONMENT = celEnv({
  funcs: [
    ...strings.filter(({ name }) => KEPT_STRINGS.has(name)),
    celFunc('inRange', [STRING, STRING], BOOL, (ip, range) =>
      inCidr(parseIp(ip), parseCidr(range)),
    ),
  ],
});

/** Names an expression may begin with. */
const ROOTS: ReadonlySet<string> = new Set([
  'request',
  'source',
  'remote',
  'destination',
  'connection',
]);

/** @throws SyntaxError that says what is wrong with it */
export function compileCondition(text: string): Condition {
  if (text.length > MAX_CHARS) throw new SyntaxError(`it is longer than ${MAX_CHARS} characters`);
  const parsed = parsedOf(text);
  const cost = costOf(parsed.expr, new Set());
  if (cost > MAX_COST)
    throw new SyntaxError('it may take too many steps: it goes through lists of lists');
  const program = plan(ENVIRONMENT, parsed) as (variables: Record<string, CelInput>) => unknown;
  return (facts) => {
    try {
      const result = program(variablesOf(facts));
      return typeof result === 'boolean' ? result : undefined;
    } catch {
      return undefined;
    }
  };
}

/** What is wrong with an expression; undefined: nothing. */
export function conditionProblem(text: string): string | undefined {
  try {
    compileCondition(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function parsedOf(text: string): ReturnType<typeof parse> {
  try {
    return parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SyntaxError(why, { cause });
  }
}

type Ast = ReturnType<typeof parse>['expr'];

/** @throws SyntaxError for names and functions that are not known */
function costOf(ast: Ast | undefined, bound: ReadonlySet<string>): number {
  if (ast === undefined) return 0;
  const sum = (asts: readonly unknown[]): number =>
    asts.reduce<number>((total, one) => total + costOf(one as Ast, bound), 1);
  const { exprKind } = ast;
  switch (exprKind.case) {
    case 'identExpr': {
      const { name } = exprKind.value;
      if (!ROOTS.has(name) && !bound.has(name) && !TYPES.has(name)) {
        throw new SyntaxError(`${name} is not known: it may begin with ${[...ROOTS].join(', ')}`);
      }
      return 1;
    }
    case 'selectExpr':
      return sum([exprKind.value.operand]);
    case 'callExpr': {
      const { function: name, target, args } = exprKind.value;
      if (!BUILT_IN.has(name) && ENVIRONMENT.funcs.find(name) === undefined) {
        throw new SyntaxError(`${name}() is not known`);
      }
      return sum([target, ...args]);
    }
    case 'listExpr':
      return sum(exprKind.value.elements);
    case 'structExpr':
      return sum(
        exprKind.value.entries.flatMap(({ keyKind, value }) => [
          keyKind.case === 'mapKey' ? keyKind.value : undefined,
          value,
        ]),
      );
    case 'comprehensionExpr': {
      const { iterRange, iterVar, iterVar2, accuVar, accuInit, loopCondition, loopStep, result } =
        exprKind.value;
      const inner = new Set([...bound, iterVar, iterVar2, accuVar]);
      const turn = costOf(loopCondition as Ast, inner) + costOf(loopStep as Ast, inner);
      const once = sum([iterRange, accuInit]) + costOf(result as Ast, inner);
      return once + turn * LIKELY_MEMBERS;
    }
    case 'constExpr':
      return 1;
    default:
      throw new SyntaxError('it is empty');
  }
}

/** Evaluated by the planner itself, without a function behind it. */
const BUILT_IN = new Set(['_&&_', '_||_', '_?_:_', '_[_]', '@not_strictly_false', '_==_', '_!=_']);
const TYPES = new Set('int uint double bool string bytes list map type null_type'.split(' '));

/** What an expression sees; absent things are empty texts, so that `==` and `has` both say something. */
function variablesOf(facts: RequestFacts): Record<string, CelInput> {
  const { request, source, destination, sni, token } = facts;
  const { identity } = source;
  const headers = new Map<string, string>();
  for (const [name, value] of request.headers) {
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return {
    request: new Map<string, CelInput>([
      ['method', request.method],
      ['scheme', request.scheme],
      ['host', hostForms(request.authority)[0] ?? ''],
      ['authority', request.authority],
      ['path', request.path],
      ['query', request.query ?? ''],
      ['headers', headers],
      [
        'auth',
        new Map<string, CelInput>([
          ['principal', (token && tokenPrincipalOf(token)) ?? ''],
          ['claims', claimsValue(token?.claims ?? {}, 0)],
        ]),
      ],
    ]),
    source: new Map<string, CelInput>([
      [
        'principal',
        identity === undefined ? '' : formatIdentity(identity).slice('spiffe://'.length),
      ],
      ['namespace', identity?.namespace ?? ''],
      ['serviceAccount', identity?.serviceAccount ?? ''],
      ['ip', source.ip],
    ]),
    remote: new Map<string, CelInput>(addressed(remoteIpOf(facts))),
    destination: new Map<string, CelInput>([
      ['ip', destination.ip],
      ['port', BigInt(destination.port)],
    ]),
    connection: new Map<string, CelInput>([['sni', sni ?? '']]),
  };
}

/** Without an address there is no `remote.ip`, and what asks for it has no answer. */
function addressed(ip: IpAddress | undefined): [string, CelInput][] {
  return ip === undefined ? [] : [['ip', ip]];
}

/** @throws RangeError when there is too much of it */
function claimsValue(value: unknown, depth: number): CelInput {
  if (depth > MAX_DEPTH) throw new RangeError('claims are nested too deeply');
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value !== 'object' || value === null) return null;
  const members = Object.entries(value as Claims);
  if (members.length > MAX_MEMBERS) throw new RangeError('a claim has too many members');
  if (Array.isArray(value)) return value.map((one: unknown) => claimsValue(one, depth + 1));
  return new Map(members.map(([name, one]) => [name, claimsValue(one, depth + 1)]));
}
