// Colours, only where a person looks: on a terminal, and not where NO_COLOR or TERM=dumb asks for none.

import { styleText } from 'node:util';

export type Style = {
  good(text: string): string;
  bad(text: string): string;
  bold(text: string): string;
  dim(text: string): string;
};

export const plainStyle: Style = {
  good: (text) => text,
  bad: (text) => text,
  bold: (text) => text,
  dim: (text) => text,
};

/** Colours when `stream` is a terminal that wants them, else none. */
export function styleFor(stream: NodeJS.WriteStream): Style {
  if (!stream.isTTY || !stream.hasColors()) return plainStyle;
  const paint = (format: 'green' | 'red' | 'bold' | 'dim') => (text: string) =>
    styleText(format, text, { validateStream: false });
  return { good: paint('green'), bad: paint('red'), bold: paint('bold'), dim: paint('dim') };
}
