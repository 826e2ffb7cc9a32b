// The ports the node agent takes inside every enrolled pod. Capture opens them; every decision about a destination keeps
// applications from being led to them, for that connection would come back to the agent for ever.

export const OUTBOUND_PORT = 15001;
export const PASSTHROUGH_PORT = 15006;
export const TUNNEL_PORT = 15008;
/** DNS, on the loopback addresses only: an answer from another address would not find its way back. */
export const DNS_PORT = 15053;
export const OWN_PORTS: ReadonlySet<number> = new Set([
  OUTBOUND_PORT,
  PASSTHROUGH_PORT,
  TUNNEL_PORT,
]);
