#!/usr/bin/env node
// `ambit`: the operator's hand. Here are only the shapes of the command line; each verb is a file in commands/.
// Exit codes: 0 healthy or done, 1 unhealthy or failed, 2 misuse.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { WAYPOINT_KINDS } from '../mesh/waypoint.ts';
import { systemClock } from '../runtime/clock.ts';
import { nodeTooOld } from '../runtime/version.ts';
import { type AuthzOptions, authzCheck } from './commands/authz.ts';
import { type CaStatusOptions, caRotate, caStatus, type RotateOptions } from './commands/ca.ts';
import { type CheckOptions, check } from './commands/check.ts';
import { type ClusterOptions, findKubeconfig } from './commands/cluster-options.ts';
import { type ExplainOptions, explain } from './commands/explain.ts';
import { addNamespace, removeNamespace } from './commands/namespace.ts';
import {
  type LogOptions,
  type NodeOptions,
  nodeCertificates,
  nodeConnections,
  nodeLog,
  nodeResources,
} from './commands/node.ts';
import { sandbox } from './commands/sandbox.ts';
import { type StatusOptions, status } from './commands/status.ts';
import { type VersionOptions, version } from './commands/version.ts';
import {
  type ApplyOptions,
  type DeleteOptions,
  type GenerateOptions,
  type ListOptions,
  type StatusOptions as WaypointStatusOptions,
  waypointApply,
  waypointDelete,
  waypointGenerate,
  waypointList,
  waypointStatus,
} from './commands/waypoint.ts';

let exitCode = 0;

const tooOld = nodeTooOld();
if (tooOld !== undefined) {
  process.stderr.write(`Error: ${tooOld}\n`);
  process.exit(1);
}

const program = new Command('ambit')
  .description(
    'A sidecar-less service mesh: label a namespace, and its traffic is authenticated and encrypted',
  )
  .exitOverride()
  .enablePositionalOptions()
  .showHelpAfterError('(see: ambit --help)');

const output = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text');

withCluster(program.command('status'))
  .description('is the mesh healthy, who is in it, how much of the traffic is mTLS')
  .addOption(output())
  .action(async (options: StatusOptions) => {
    exitCode = await status(located(options));
  });

withCluster(program.command('check'))
  .description('is the cluster fit for the mesh, is the mesh well: each finding with its remedy')
  .option('--pre', 'only what matters before an installation', false)
  .addOption(
    new Option('--wait <seconds>', 'go on trying for so long until all is well')
      .argParser(wholeNumber)
      .default(0),
  )
  .addOption(output())
  .action(async (options: CheckOptions) => {
    exitCode = await check(located(options));
  });

const namespace = program
  .command('namespace')
  .alias('ns')
  .description('put namespaces into the mesh, or take them out');
withCluster(namespace.command('add <name>'))
  .description('label the namespace: its pods join the mesh without a restart')
  .action(async (name: string, options: ClusterOptions) => {
    exitCode = await addNamespace(name, located(options));
  });
withCluster(namespace.command('remove <name>'))
  .description('take the label away: its pods leave the mesh, open connections go on')
  .action(async (name: string, options: ClusterOptions) => {
    exitCode = await removeNamespace(name, located(options));
  });

withCluster(program.command('explain <from> <to>'))
  .description(
    'what becomes of a connection, and of a request in it, from a pod to NAME[:PORT] or IP:PORT: where it goes, which policy decides',
  )
  .option('-n, --namespace <namespace>', 'namespace of FROM, when it does not say', 'default')
  .option('--method <method>', 'of a request to explain (default: GET)')
  .option('--path <path>', 'of a request to explain, with its query (default: /)')
  .option('--host <host>', "of a request to explain (default: the service's)")
  .option(
    '--header <name=value>',
    'of a request to explain; any number of times',
    (header: string, before: readonly string[] | undefined) => [...(before ?? []), header],
  )
  .option('--claims <json>', 'what its verified token would say, with iss')
  .addOption(anyOutput())
  .action(async (from: string, to: string, options: ExplainOptions) => {
    exitCode = await explain(from, to, located(options));
  });

const authz = program.command('authz').description('authorization policies, as agents have them');
withCluster(authz.command('check <pod>'))
  .description('the policies that hold for connections to a pod, and for requests at its waypoints')
  .option('-n, --namespace <namespace>', 'namespace of the pod, when it does not say', 'default')
  .addOption(anyOutput())
  .action(async (pod: string, options: AuthzOptions) => {
    exitCode = await authzCheck(pod, located(options));
  });

const node = program
  .command('node')
  .description('look into the agent on a node, named by the node or by the agent pod');
const VERBS = {
  workloads: 'the workloads it knows, with their waypoints and protocols',
  services: 'the services it knows, with their endpoints',
  policies: 'the authorization policies it knows',
} as const;
for (const verb of ['workloads', 'services', 'policies'] as const) {
  withNode(verb, VERBS[verb]).action(async (name: string, options: NodeOptions) => {
    exitCode = await nodeResources(verb, name, located(options));
  });
}
withNode('certificates', 'the certificates it holds for the identities of its pods').action(
  async (name: string, options: NodeOptions) => {
    exitCode = await nodeCertificates(name, located(options));
  },
);
withNode('connections', 'the connections it carries now')
  .option('--pod <pod>', 'only those of this pod: its name, namespace/name or UID')
  .action(async (name: string, options: NodeOptions & { pod?: string }) => {
    exitCode = await nodeConnections(name, located(options));
  });
withCluster(node.command('log <node>'))
  .description('its log levels; with --level or --reset, changes them until it restarts')
  .option('--level <levels>', 'LEVEL for all, or SCOPE:LEVEL, several with commas')
  .option('-r, --reset', 'back to the levels it started with', false)
  .action(async (name: string, options: LogOptions) => {
    exitCode = await nodeLog(name, located(options));
  });

const waypoint = program
  .command('waypoint')
  .description(
    'L7 proxies for namespaces, services and workloads: make them, see them, delete them',
  );
withWaypoint(waypoint.command('generate'))
  .description('print the Gateway that a waypoint is')
  .action((options: GenerateOptions) => {
    exitCode = waypointGenerate(options);
  });
withWaiting(withWaypoint(withCluster(waypoint.command('apply'))))
  .description('make a waypoint in a namespace, or change it')
  .option('--enroll-namespace', 'let the namespace use it', false)
  .option('--overwrite', 'also when the namespace uses another one', false)
  .action(async (options: ApplyOptions) => {
    exitCode = await waypointApply(located(options));
  });
withPlaces(withCluster(waypoint.command('list')))
  .description('the waypoints of a namespace, or of all')
  .action(async (options: ListOptions) => {
    exitCode = await waypointList(located(options));
  });
withWaiting(withPlaces(withCluster(waypoint.command('status [name]'))))
  .description('whether waypoints are ready, and if not why; exit code 1 when one is not')
  .action(async (name: string | undefined, options: WaypointStatusOptions) => {
    exitCode = await waypointStatus(name, located(options));
  });
withCluster(waypoint.command('delete [names...]'))
  .description('delete waypoints: what must go through them fails from then on')
  .option('-n, --namespace <namespace>', 'namespace of the waypoints', 'default')
  .option('--all', 'all waypoints of the namespace', false)
  .action(async (names: string[], options: DeleteOptions) => {
    exitCode = await waypointDelete(names, located(options));
  });

const ca = program
  .command('ca')
  .description('the certificate authority: what signs, who is trusted, a new root');
withCluster(ca.command('status'))
  .description('what signs, the roots that are trusted, how far a rotation is')
  .addOption(output())
  .action(async (options: CaStatusOptions) => {
    exitCode = await caStatus(located(options));
  });
withCluster(ca.command('rotate'))
  .description(
    'replace the root: no restart, no failed connection; waits until the old one is gone',
  )
  .option(
    '--force',
    'do not wait for agents that are neither ready nor connected; also for a rotation under way',
    false,
  )
  .option('--no-wait', 'only ask for it')
  .addOption(
    new Option('--timeout <seconds>', 'give up waiting after so long (0: never)')
      .argParser(wholeNumber)
      .default(0),
  )
  .addOption(output())
  .action(async (options: RotateOptions) => {
    exitCode = await caRotate(located(options), systemClock);
  });

program
  .command('sandbox [words...]')
  .description('a whole small cluster on this machine: up, down, kubeconfig, demo')
  .allowUnknownOption()
  .passThroughOptions()
  .helpOption(false)
  .action(async (words: string[]) => {
    exitCode = await sandbox(words);
  });

withCluster(program.command('version'))
  .description('versions of this cli and of the mesh it talks to')
  .addOption(output())
  .option('--client', 'only the version of this cli', false)
  .action(async (options: VersionOptions) => {
    exitCode = await version(options.client ? options : located(options));
  });

try {
  await program.parseAsync();
} catch (error) {
  exitCode = report(error);
}
process.exit(exitCode);

function report(error: unknown): number {
  // commander has printed its own message by now; help and version are no misuse
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
}

function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number of seconds.');
}

function located<T extends ClusterOptions>(options: T): T {
  return { ...options, kubeconfig: findKubeconfig(options.kubeconfig, process.env) };
}

function withNode(verb: string, description: string): Command {
  return withCluster(node.command(`${verb} <node>`))
    .description(description)
    .option('-n, --namespace <namespace>', 'only what belongs to this namespace')
    .addOption(anyOutput());
}

function withWaypoint(command: Command): Command {
  return command
    .option('--name <name>', 'name of the waypoint', 'waypoint')
    .option('-n, --namespace <namespace>', 'namespace of the waypoint', 'default')
    .addOption(
      new Option('--for <traffic>', 'what goes through it (default: service)').choices([
        ...WAYPOINT_KINDS,
      ]),
    );
}

function withPlaces(command: Command): Command {
  return command
    .option('-n, --namespace <namespace>', 'namespace of the waypoints', 'default')
    .option('-A, --all-namespaces', 'of all namespaces', false)
    .addOption(anyOutput());
}

function withWaiting(command: Command): Command {
  return command.option('-w, --wait', 'wait until it is ready', false).addOption(
    new Option('--timeout <seconds>', 'give up waiting after so long (0: never)')
      .argParser(wholeNumber)
      // images are pulled and nodes are found for it in far less
      .default(90),
  );
}

function anyOutput(): Option {
  return new Option('-o, --output <format>', 'output format')
    .choices(['text', 'json', 'yaml'])
    .default('text');
}

function withCluster(command: Command): Command {
  return command
    .option(
      '--kubeconfig <file>',
      'path of the kubeconfig (default: KUBECONFIG, then ~/.kube/config)',
    )
    .option('--context <name>', 'context of the kubeconfig');
}
