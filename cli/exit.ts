// How the cli ends: 0 healthy or done, 1 unhealthy or failed, 2 misuse. Commands throw these; main.ts turns them into
// one line on stderr and the code.

/** The command line itself is wrong: exit code 2. */
export class Misuse extends Error {
  override readonly name = 'Misuse';
}

/** What was asked could not be done: exit code 1, with the message and no stack. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
}
