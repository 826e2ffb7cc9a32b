// The hash that keeps requests in place: MurmurHash3's 32 bits (a public-domain function), over UTF-16 code units.
// Invariant: the same in every waypoint and version, or clients would move with each upgrade.

export function hash32(text: string, seed = 0): number {
  let state = seed | 0;
  for (let i = 0; i < text.length; i++) {
    let unit = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    unit = (unit << 15) | (unit >>> 17);
    state ^= Math.imul(unit, 0x1b873593);
    state = (state << 13) | (state >>> 19);
    state = (Math.imul(state, 5) + 0xe6546b64) | 0;
  }
  return mix(state ^ text.length);
}

/** Another hash of a hash. */
export function rehash(hash: number, round: number): number {
  return mix(Math.imul(hash ^ Math.imul(round, 0x9e3779b1), 0x85ebca6b) ^ round);
}

function mix(value: number): number {
  let state = value;
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
