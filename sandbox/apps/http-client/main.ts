// The HTTP client app: asks an HTTP echo (or anything else) and prints each result as a line of JSON (result.ts). For
// tests and for people who `kubectl exec` into a pod. Exit code 0 when every request was answered, gRPC's with status 0;
// 1 when one was not; 2 for words it does not know.

import { ask } from './ask.ts';
import { isGood, type Result } from './result.ts';
import { type Order, readOrder, USAGE } from './words.ts';

const words = process.argv.slice(2);
try {
  const orders = words[0] === '--batch' ? await readBatch() : [readOrder(words)];
  let good = true;
  const print = (command: number, request: number, result: Result): void => {
    good &&= isGood(result);
    process.stdout.write(`${JSON.stringify({ command, request, ...result })}\n`);
  };
  await Promise.all(
    orders.map((order, command) =>
      ask(order, (request, result) => print(command, request, result)),
    ),
  );
  process.exitCode = good ? 0 : 1;
} catch (error) {
  if (!(error instanceof SyntaxError)) throw error;
  process.stderr.write(`Error: ${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}

async function readBatch(): Promise<Order[]> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk;
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => readOrder(JSON.parse(line) as string[]));
}
