// A stand-in for `ambit sandbox up`: launches the stand-in sandbox and prints what became of it, for tests that kill it or
// run it where no namespaces can be had. Arguments: name, network, and one for the stand-in.

import { systemClock } from '../../../runtime/clock.ts';
import { launch } from '../launch.ts';

const [name = 'test', network = 'auto', argument = ''] = process.argv.slice(2);
const reports: string[] = [];
const launched = await launch(
  { clock: systemClock, report: (line) => reports.push(line) },
  {
    name,
    network: network as 'auto',
    program: [new URL('inner-program.ts', import.meta.url).pathname, argument],
    uid: process.getuid?.() ?? -1,
    env: process.env,
  },
);
process.on('SIGTERM', () => {
  void launched.close();
});
const details = await launched.ready;
process.stdout.write(`${JSON.stringify({ ...details, directory: launched.directory, reports })}\n`);
