// Regular expressions that users write, in linear time: RE2's syntax by re2js. Called where tables of
// routes are compiled: in waypoints, and by `ambit explain`.

import { RE2JS } from 're2js';

/** Matches whole texts only, as the Gateway API has it. @throws Error saying what is wrong with the pattern */
export function compileRegex(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern);
  return (text) => compiled.matches(text);
}
