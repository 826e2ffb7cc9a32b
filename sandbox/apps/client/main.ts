// The client app: one call, its result as one line of JSON, exit code 0 when it was answered. For tests and for people
// who `kubectl exec` into a pod: client http://web:8080/x | h2c://... | ws://... | tcp://host:port | udp://host:port.

import { type Called, call } from './call.ts';

const [target = '', body = ''] = process.argv.slice(2);
const started = performance.now();
let result: Called;
try {
  result = await call(new URL(target), body);
} catch (error) {
  result = { ok: false, error: error instanceof Error ? error.message : String(error) };
}
const durationMs = Math.round((performance.now() - started) * 1000) / 1000;
process.stdout.write(`${JSON.stringify({ target, ...result, durationMs })}\n`);
process.exitCode = result.ok ? 0 : 1;
