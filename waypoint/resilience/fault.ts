// Which faults a request meets, on purpose: a draw for each one that matches, by itself. Made by the waypoint before the
// request goes on, so that an abort never reaches the upstream. Pure: randomness is passed in.

import type { HttpRequest, RequestSource } from '../../mesh/http-request.ts';
import type { Fault } from '../../mesh/traffic-policy.ts';
import { matchesTraffic } from './traffic-match.ts';

export type FaultDraw = {
  /** Waited for first; 0: nothing. The longest, where several are drawn. */
  readonly delayMs: number;
  /** The answer instead of the upstream's; the first, where several are drawn. */
  readonly abort:
    | { readonly kind: 'http'; readonly status: number }
    | { readonly kind: 'grpc'; readonly grpcStatus: number }
    | undefined;
};

const NONE: FaultDraw = { delayMs: 0, abort: undefined };

export function drawFaults(
  faults: readonly Fault[],
  request: HttpRequest,
  source: RequestSource,
  random: () => number,
): FaultDraw {
  let draw = NONE;
  for (const { match, percent, action } of faults) {
    if (!matchesTraffic(match, request, source) || random() * 100 >= percent) continue;
    if (action.kind === 'delay') {
      draw = { ...draw, delayMs: Math.max(draw.delayMs, action.delayMs) };
    } else if (draw.abort === undefined) {
      const abort =
        action.kind === 'abort'
          ? ({ kind: 'http', status: action.status } as const)
          : ({ kind: 'grpc', grpcStatus: action.grpcStatus } as const);
      draw = { ...draw, abort };
    }
  }
  return draw;
}
