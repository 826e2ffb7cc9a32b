// How the tour talks: a step that is under way, done or failed, and evidence in between. On a terminal a running step
// shows a spinner; elsewhere every line is printed once. Only the tour and `up` use it.

import { styleText } from 'node:util';

export interface Report {
  /** Shows `title` as running until `work` settles; what it throws goes through. `note` replaces the text behind it. */
  step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T>;
  say(text: string): void;
  /** Indented and set apart: bytes from the link, a command's output. */
  show(text: string): void;
  heading(text: string): void;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;

export function createReport(out: NodeJS.WriteStream): Report {
  const live = out.isTTY === true;
  const colours = live && out.hasColors();
  const paint = (format: 'green' | 'red' | 'bold' | 'dim' | 'cyan', text: string): string =>
    colours ? styleText(format, text, { validateStream: false }) : text;
  const line = (text: string): void => {
    out.write(`${text}\n`);
  };
  return {
    async step(title, work) {
      const started = performance.now();
      let note = '';
      let frame = 0;
      const draw = (): void => {
        out.write(
          `\r\u001b[2K${paint('cyan', FRAMES[frame++ % FRAMES.length] ?? '')} ${title}${tail(note, paint)}`,
        );
      };
      const timer = live ? setInterval(draw, FRAME_MS) : undefined;
      if (!live) line(`... ${title}`);
      const finish = (mark: string): void => {
        clearInterval(timer);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        line(
          `${live ? '\r\u001b[2K' : ''}${mark} ${title}${tail(note, paint)} ${paint('dim', `(${seconds} s)`)}`,
        );
      };
      try {
        const result = await work((text) => {
          if (!live && text !== note) line(`    ${text}`);
          note = text;
        });
        finish(paint('green', 'ok '));
        return result;
      } catch (error) {
        finish(paint('red', 'FAILED'));
        throw error;
      }
    },
    say: (text) => line(text),
    show: (text) => line(text.replaceAll(/^/gm, `   ${paint('dim', '|')} `)),
    heading: (text) => line(`\n${paint('bold', text)}`),
  };
}

function tail(note: string, paint: (format: 'dim', text: string) => string): string {
  return note === '' ? '' : paint('dim', `: ${note}`);
}
