// Asks rows of a table from pods of the cluster, until they come to what is expected: the Gateway API's rule is three good
// answers in a row within 30 seconds. Called by every conformance test. All rows that are not good yet are asked by one
// run of the client, so that a table costs as little as a row.

import { entryPath } from '../../runtime/entry.ts';
import type { ResultLine } from '../../sandbox/apps/http-client/result.ts';
import type { PodName } from '../support/pod-api.ts';
import type { Sandbox } from '../support/sandbox.ts';
import { mismatches, type Row, wordsOf } from './expectation.ts';
import { type Shares, shareProblems } from './shares.ts';

/** Where rows are asked from, and whose answers are expected. */
export type Clients = {
  readonly sandbox: Sandbox;
  /** By the name that rows use. */
  readonly pods: Readonly<Record<string, PodName>>;
  /** Who asks when a row does not say. */
  readonly usual: string;
  /** Of the backends, when a row does not say. */
  readonly namespace: string;
};

const CONVERGENCE_MS = 30_000;
const GOOD_IN_A_ROW = 3;
const SHARED_REQUESTS = 500;
// the suite's own client gives all 500 so long; here they share two cores with the rest of the cluster and other tests
const SHARED_MS = 20_000;
const SHARED_TRIES = 10;

/** @throws Error with what every row that never was as expected last came to */
export async function expectRows(clients: Clients, rows: readonly Row[]): Promise<void> {
  const end = performance.now() + CONVERGENCE_MS;
  let left = rows.map((row) => ({ row, problems: ['it was never asked'] }));
  while (left.length > 0) {
    if (performance.now() > end) throw new Error(describeLeft(left));
    left = (await Promise.all(grouped(left).map((group) => stillWrong(clients, group)))).flat();
  }
}

/** @throws Error when 500 requests never were answered by the shares, in ten tries */
export async function expectShares(clients: Clients, row: Row, shares: Shares): Promise<void> {
  await expectRows(clients, [row]);
  let problems: string[] = [];
  const words = [...wordsOf(row), `--count=${SHARED_REQUESTS}`, `--timeout=${SHARED_MS}`];
  for (let i = 0; i < SHARED_TRIES; i++) {
    const [results = []] = await askAll(clients, row.from ?? clients.usual, [words]);
    problems = shareProblems(results, SHARED_REQUESTS, shares);
    if (problems.length === 0) return;
  }
  throw new Error(`${row.url}: ${problems.join('; ')}`);
}

/** One run of the client in a pod; for each order the results of its requests. */
export async function askAll(
  { sandbox, pods }: Clients,
  from: string,
  orders: readonly (readonly string[])[],
): Promise<ResultLine[][]> {
  const pod = pods[from];
  if (pod === undefined)
    throw new Error(`No pod is called "${from}"; there are ${Object.keys(pods)}`);
  const program = [process.execPath, entryPath('sandbox/apps/http-client/main'), '--batch'];
  const batch = orders.map((order) => JSON.stringify(order)).join('\n');
  const { code, stdout, stderr } = await sandbox.exec(pod, program, batch);
  if (code > 1) throw new Error(`The client in ${pod.name} ended with ${code}: ${stderr}`);
  const answers: ResultLine[][] = orders.map(() => []);
  for (const line of stdout.split('\n')) {
    if (line === '') continue;
    const result = JSON.parse(line) as ResultLine;
    answers[result.command]?.push(result);
  }
  return answers;
}

type Pending = { readonly row: Row; readonly problems: string[] };

async function stillWrong(clients: Clients, group: readonly Pending[]): Promise<Pending[]> {
  const from = group[0]?.row.from ?? clients.usual;
  const orders = group.map(({ row }) => [...wordsOf(row), `--count=${GOOD_IN_A_ROW}`]);
  const answers = await askAll(clients, from, orders);
  return group.flatMap(({ row }, i): Pending[] => {
    const results = answers[i] ?? [];
    const problems = results.flatMap((result) => mismatches(row, result, clients.namespace));
    if (results.length !== GOOD_IN_A_ROW) problems.push(`${results.length} answers were told of`);
    return problems.length === 0 ? [] : [{ row, problems: [...new Set(problems)] }];
  });
}

/** Rows of the same client together. */
function grouped(left: readonly Pending[]): readonly (readonly Pending[])[] {
  return [...Map.groupBy(left, ({ row }) => row.from).values()];
}

function describeLeft(left: readonly Pending[]): string {
  const lines = left.map(({ row, problems }) => {
    const what = [
      row.method,
      row.url,
      ...Object.entries(row.headers ?? {}).map((one) => one.join(': ')),
    ];
    return `${what.filter((part) => part !== undefined).join(' ')}\n    ${problems.join('\n    ')}`;
  });
  return `After ${CONVERGENCE_MS / 1000} s still not as expected:\n  ${lines.join('\n  ')}`;
}
