// Regular expressions that users write, in linear time: RE2's syntax by re2js. Called where tables of
// routes are compiled (in waypoints, and by `ambit explain`), and by the control plane, which tells of bad ones.

import { RE2JS } from 're2js';

/** What is wrong with the pattern; undefined: nothing. For whoever tells its author. */
export function checkRegex(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Matches whole texts only, as the Gateway API has it. @throws Error saying what is wrong with the pattern */
export function compileRegex(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern);
  return (text) => compiled.matches(text);
}
