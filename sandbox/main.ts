// `ambit sandbox ...` and `npm start`: a small cluster on this machine. This is the outer process, the one a person
// started: it launches the sandbox, shows what happens, and takes everything down when it ends.

import { parseArgs } from 'node:util';
import { systemClock } from '../runtime/clock.ts';
import { entryPath } from '../runtime/entry.ts';
import { DUTIES, type Duty } from './controllers/duty.ts';
import { createReport } from './demo/report.ts';
import { tour } from './demo/tour.ts';
import { detach } from './detach.ts';
import { type GivenServer, readGivenServer } from './launch/given-server.ts';
import { type Launched, launch } from './launch/launch.ts';
import { isSandboxName, listSandboxes, stateRoot, takeDown } from './launch/state-directory.ts';

const USAGE = `Usage: ambit sandbox COMMAND [options]

Commands:
  up           start a cluster and stay with it until Ctrl-C
    --detach       leave it running in the background
    --no-mesh      the bare cluster, without Ambit in it
    --kubeconfig FILE   nodes for the API server of that file, instead of a cluster; Ambit is installed with --mesh.
                        Its logs, exec and port-forward need an API server on this machine
    --controllers WHICH  with --kubeconfig: auto (those that nobody runs there), all or none (default: auto)
  down         take it down; also cleans up after one that crashed
  kubeconfig   print the path of its kubeconfig
  demo         start one with a little shop in it, and take a tour of the mesh
    --once         end after the tour, with exit code 0 when all went as promised
  list         the sandboxes on this machine

Options of all:
  --name NAME      which sandbox (default: default; demo for the demo)
  --nodes N        nodes of the cluster, 1 to 16 (default: 2)
  --network MODE   auto, netns or loopback (default: auto)
`;

class Misuse extends Error {}

const person = { uid: process.getuid?.() ?? -1, env: process.env };
const root = stateRoot(person);
const report = createReport(process.stdout);

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof Misuse) process.stderr.write(`\n${USAGE}`);
  process.exitCode = error instanceof Misuse ? 2 : 1;
}
process.exit();

async function main(words: readonly string[]): Promise<number> {
  const { command, options } = readWords(words);
  switch (command) {
    case 'up':
      return options.detach ? detach(root, words) : up(options);
    case 'down':
      return down(options.name);
    case 'kubeconfig':
      return kubeconfig(options.name);
    case 'demo':
      return demo(options);
    case 'list':
      return list();
    case 'help':
      process.stdout.write(USAGE);
      return 0;
    default:
      throw new Misuse(`There is no command "${command}"`);
  }
}

type Options = {
  readonly name: string;
  readonly nodes: number;
  readonly network: 'auto' | 'netns' | 'loopback';
  readonly detach: boolean;
  readonly mesh: boolean;
  readonly once: boolean;
  readonly background: boolean;
  readonly kubeconfig: string | undefined;
  readonly controllers: Duty;
};

function readWords(words: readonly string[]): { command: string; options: Options } {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...words],
      allowPositionals: true,
      allowNegative: true,
      options: {
        name: { type: 'string' },
        nodes: { type: 'string', default: '2' },
        network: { type: 'string', default: 'auto' },
        detach: { type: 'boolean', default: false },
        mesh: { type: 'boolean' },
        kubeconfig: { type: 'string' },
        controllers: { type: 'string' },
        once: { type: 'boolean', default: false },
        // what --detach starts is told so
        background: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (cause) {
    throw new Misuse(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const { values, positionals } = parsed;
  const command = values.help ? 'help' : (positionals[0] ?? 'help');
  if (positionals.length > 1) throw new Misuse(`Unexpected "${positionals[1]}"`);
  const { kubeconfig, detach: detached, once, background } = values;
  if (kubeconfig !== undefined && command !== 'up') {
    throw new Misuse('--kubeconfig is for "up" only');
  }
  if (values.controllers !== undefined && kubeconfig === undefined) {
    throw new Misuse('--controllers needs --kubeconfig');
  }
  const options: Options = {
    name: nameOf(values.name ?? (command === 'demo' ? 'demo' : 'default')),
    nodes: nodesOf(values.nodes),
    network: oneOf('--network', values.network, ['auto', 'netns', 'loopback']),
    detach: detached,
    background,
    mesh: values.mesh ?? kubeconfig === undefined,
    once,
    kubeconfig,
    controllers: oneOf(
      '--controllers',
      values.controllers ?? (kubeconfig === undefined ? 'all' : 'auto'),
      DUTIES,
    ),
  };
  return { command, options };
}

function nameOf(text: string): string {
  if (isSandboxName(text)) return text;
  throw new Misuse(
    `--name is "${text}": expected at most 40 of a-z, 0-9 and "-", beginning and ending with a letter or digit`,
  );
}

function nodesOf(text: string): number {
  const nodes = Number(text);
  if (/^\d+$/.test(text) && nodes >= 1 && nodes <= 16) return nodes;
  throw new Misuse(`--nodes is "${text}": expected 1 to 16`);
}

function oneOf<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new Misuse(
    `${option} is "${text}": expected ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`,
  );
}

/** Launches and waits until it is up; whatever goes wrong then takes it down again. */
async function start(
  options: Options,
): Promise<{ launched: Launched; details: Readonly<Record<string, string>> }> {
  const given = options.kubeconfig === undefined ? undefined : readGivenServer(options.kubeconfig);
  return report.step(titleOf(options, given), async (note) => {
    const launched = await launch(
      { clock: systemClock, report: note, progress: note },
      {
        name: options.name,
        network: options.network,
        program: [
          entryPath('sandbox/inner-main'),
          String(options.nodes),
          options.mesh ? 'mesh' : 'bare',
          options.controllers,
        ],
        ...(given === undefined ? {} : { given, nodes: options.nodes }),
        ...person,
      },
    );
    stopWith(launched);
    try {
      return { launched, details: await launched.ready };
    } catch (error) {
      await launched.close();
      throw error;
    }
  });
}

function titleOf({ nodes }: Options, given: GivenServer | undefined): string {
  const many = nodes === 1 ? '1 node' : `${nodes} nodes`;
  return given === undefined
    ? `Starting a cluster of ${many}`
    : `Starting ${many} for the API server at ${given.host}:${given.port}`;
}

async function up(options: Options): Promise<number> {
  const { launched, details } = await start(options);
  const again = options.name === 'default' ? '' : ` --name ${options.name}`;
  report.say(`\nThe sandbox is up (${launched.mode}). In another terminal:`);
  report.show(`export KUBECONFIG=${details['kubeconfig']}\nkubectl get pods -A\nambit status`);
  const down = `ambit sandbox down${again}`;
  report.say(
    options.background
      ? `Take it down with: ${down}`
      : `Take it down with Ctrl-C here, or: ${down}`,
  );
  const code = await launched.exited;
  // its files go last: not to be left behind when it ended by itself, or as it was told to
  await launched.close();
  return code;
}

async function demo(options: Options): Promise<number> {
  const { launched, details } = await start(options);
  try {
    await tour(report, {
      kubeconfig: details['kubeconfig'] ?? '',
      linkSocket: details['linkSocket'] ?? '',
      mode: launched.mode,
    });
    if (options.once) return 0;
    report.say('\nIt stays up for you; Ctrl-C takes everything down.');
    return await launched.exited;
  } finally {
    await report.step('Taking everything down', () => launched.close());
  }
}

/** Ctrl-C and `down` end the sandbox in order; whoever waits for it goes on from there. */
function stopWith(launched: Launched): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      process.on(name, () => {
        // the first one is being obeyed; taking down is bounded in time
      });
      void launched.close().then(() => process.exit(name === 'SIGINT' ? 130 : 143));
    });
  }
}

async function down(name: string): Promise<number> {
  const outcome = await takeDown({ clock: systemClock }, root, name);
  const words = {
    stopped: `Sandbox "${name}" is down`,
    killed: `Sandbox "${name}" did not end by itself and was killed`,
    cleaned: `Sandbox "${name}" had crashed; what it left is cleaned up`,
    'not-found': `There is no sandbox "${name}"`,
  };
  process.stdout.write(`${words[outcome]}\n`);
  return outcome === 'not-found' ? 1 : 0;
}

function kubeconfig(name: string): number {
  const known = listSandboxes(root).find((sandbox) => sandbox.name === name && sandbox.running);
  if (known === undefined) {
    process.stderr.write(
      `Error: Sandbox "${name}" is not running; start it with "ambit sandbox up --detach"\n`,
    );
    return 1;
  }
  process.stdout.write(`${known.path}/apiserver/kubeconfig\n`);
  return 0;
}

function list(): number {
  for (const sandbox of listSandboxes(root)) {
    process.stdout.write(
      `${sandbox.name.padEnd(20)} ${sandbox.running ? 'running' : 'crashed'}  ${sandbox.path}\n`,
    );
  }
  return 0;
}
