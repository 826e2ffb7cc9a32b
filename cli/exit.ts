// A command's own failure. Thrown by commands; main.ts turns it into one line on stderr and exit code 1. Misuse of the
// command line (exit code 2) is commander's to tell.

/** What was asked could not be done: exit code 1, with the message and no stack. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure';
}
