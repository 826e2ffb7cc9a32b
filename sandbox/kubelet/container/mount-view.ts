// What a container sees of the machine's file system in netns mode: everything, but for a /run of its own and what is
// bound over it. planView() decides from the machine's file system, viewScript() writes the decision as a shell script
// that runs inside a new mount namespace: nothing of it is ever seen outside, and it ends with its last process.

import { accessSync, constants, lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SEARCH_PATH } from '../tools.ts';

export type Bind = {
  /** On this machine; exists. */
  readonly source: string;
  readonly kind: 'file' | 'directory';
  readonly target: string;
  readonly readOnly: boolean;
};

export type View = {
  /** Directories that lack a bind's target: covered by an overlay in which it can be made. Outer ones first. */
  readonly overlays: readonly string[];
  /** Directories that are not ours to look into, with a bind's target inside: covered by empty ones. */
  readonly covers: readonly string[];
  /** In the order of mounting, with targets free of symbolic links. */
  readonly binds: readonly Bind[];
};

/** What is at a path, not following links; `closed` is a directory we may not look into; undefined: nothing. */
export type Look = (
  path: string,
) => { readonly link: string } | 'directory' | 'closed' | 'file' | undefined;

const OVERLAYS = '.overlays';
// the kernel's own limit (MAXSYMLINKS)
const MAX_LINKS = 40;

export function lookOnDisk(path: string): ReturnType<Look> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (found.isSymbolicLink()) return { link: readlinkSync(path) };
  if (!found.isDirectory()) return 'file';
  try {
    accessSync(path, constants.X_OK);
    return 'directory';
  } catch {
    return 'closed';
  }
}

/** @throws RangeError when a mount path is relative or runs through a file */
export function planView(binds: readonly Bind[], look: Look = lookOnDisk): View {
  const overlays = new Set<string>();
  const covers = new Set<string>();
  const planned = binds.map((bind) => {
    const { path, missingFrom, closed } = resolveTarget(bind.target, look);
    if (closed !== undefined) covers.add(closed);
    // the root itself and /run are ours anyway: there anything can be made
    const inRun = path === '/run' || path.startsWith('/run/');
    if (!inRun && missingFrom !== undefined && missingFrom !== '/') overlays.add(missingFrom);
    return { ...bind, target: path };
  });
  const depth = (path: string): number => path.split('/').length;
  return {
    overlays: [...overlays].toSorted((a, b) => depth(a) - depth(b)),
    covers: [...covers],
    binds: planned.toSorted((a, b) => depth(a.target) - depth(b.target)),
  };
}

type Target = {
  readonly path: string;
  /** The deepest directory that exists, when the target does not. */
  readonly missingFrom?: string;
  /** The directory on the way that we may not look into. */
  readonly closed?: string;
};

function resolveTarget(target: string, look: Look): Target {
  if (!target.startsWith('/')) {
    throw new RangeError(`Cannot mount at "${target}": the path must be absolute`);
  }
  let pending = target.split('/').filter((part) => part !== '' && part !== '.');
  let path = '';
  for (let links = 0; pending.length > 0; ) {
    const [part = '', ...rest] = pending;
    pending = rest;
    if (part === '..') {
      path = path.slice(0, path.lastIndexOf('/'));
      continue;
    }
    const next = `${path}/${part}`;
    const found = look(next);
    if (found === undefined) {
      const missingFrom = path === '' ? '/' : path;
      return { path: [next, ...pending].join('/'), missingFrom };
    }
    if (typeof found === 'object') {
      links += 1;
      if (links > MAX_LINKS) throw new RangeError(`Cannot mount at "${target}": too many links`);
      pending = [...found.link.split('/').filter((piece) => piece !== ''), ...pending];
      if (found.link.startsWith('/')) path = '';
      continue;
    }
    if (found === 'closed' && pending.length > 0) {
      return { path: [next, ...pending].join('/'), closed: next };
    }
    if (found === 'file' && pending.length > 0) {
      throw new RangeError(`Cannot mount at "${target}": "${next}" is a file`);
    }
    path = next;
  }
  return { path: path === '' ? '/' : path };
}

export type ViewSettings = {
  /** An empty directory on which the new root is put together. */
  readonly stage: string;
  readonly hostname: string;
  readonly workingDir: string;
  /** `[]`, or a program such as setpriv with its options, put before the container's command. */
  readonly launcher: readonly string[];
};

/** Written to fd 3 once everything is in place; what comes instead is the reason why the container cannot start. */
export const STARTED = 'started';

/**
 * `sh -c SCRIPT sh COMMAND ARGS…`, to be run under `unshare --mount --uts --propagation private`. The process that
 * runs it becomes the container's.
 */
export function viewScript(view: View, settings: ViewSettings): string {
  const stage = quote(settings.stage);
  const at = (path: string): string => quote(join(settings.stage, path));
  return [
    // messages go to fd 3 until all is in place; the container's own PATH may name none of our tools
    'exec 4>&1 1>&3 5>&2 2>&3',
    `own=$PATH; PATH=${SEARCH_PATH}`,
    'fail() { echo "$1"; exit 128; }',
    `mount -n -t tmpfs -o mode=755 sandbox-root ${stage} || fail 'no root'`,
    // else the bind of the directory around the stage would hold the stage again
    `mount -n --make-unbindable ${stage} || fail 'no unbindable root'`,
    ...copyOfRoot(settings.stage),
    `mount -n -t tmpfs -o mode=755 sandbox-run ${at('/run')} || fail 'no /run'`,
    ...(view.overlays.length === 0 ? [] : overlayRoom(settings.stage)),
    ...view.overlays.flatMap((path, index) => overlay(path, index, settings.stage)),
    ...view.covers.map((path) => cover(path, at(path))),
    ...view.binds.flatMap((bind) => bindInto(bind, at(bind.target))),
    `cd ${stage} && mkdir .old && pivot_root . .old || fail 'pivot_root failed'`,
    "cd / && umount -n -l /.old && rmdir /.old || fail 'the old root stays'",
    // a container without its own host name still works
    `hostname ${quote(settings.hostname)} 2>/dev/null || :`,
    `cd ${quote(settings.workingDir)} || fail 'no working directory'`,
    'PATH=$own; unset own OLDPWD',
    'command -v -- "$1" >/dev/null || fail "exec: \\"$1\\": executable file not found in \\$PATH"',
    `echo ${STARTED}`,
    `exec 1>&4 2>&5 3>&- 4>&- 5>&-`,
    `exec ${[...settings.launcher.map(quote), '"$@"'].join(' ')}`,
  ].join('\n');
}

function copyOfRoot(stage: string): string[] {
  const root = quote(stage);
  return [
    'for entry in /* /.[!.]*; do',
    `  new=${root}$entry`,
    '  case $entry in',
    '    /run) mkdir "$new" ;;',
    '    *) if [ -L "$entry" ]; then cp -P "$entry" "$new"',
    '       elif [ -d "$entry" ]; then mkdir "$new" && mount -n --rbind "$entry" "$new"',
    '       elif [ -e "$entry" ]; then : > "$new" && mount -n --bind "$entry" "$new"; fi ;;',
    '  esac || fail "cannot show $entry"',
    'done',
    `[ -d ${root}/run ] || mkdir ${root}/run`,
  ];
}

/** A mount of its own, because the kernel refuses upper directories on an unbindable one. */
function overlayRoom(stage: string): string[] {
  const room = quote(join(stage, OVERLAYS));
  return [`mkdir ${room} && mount -n -t tmpfs sandbox-overlays ${room} || fail 'no overlay room'`];
}

function overlay(path: string, index: number, stage: string): string[] {
  const [upper, work] = ['upper', 'work'].map((part) => join(stage, OVERLAYS, String(index), part));
  const options = `lowerdir=${path},upperdir=${upper},workdir=${work}`;
  return [
    `mkdir -p ${quote(upper ?? '')} ${quote(work ?? '')}`,
    `mount -n -t overlay -o ${quote(options)} sandbox ${quote(join(stage, path))} || ` +
      `fail ${quote(`no overlay over ${path}: mount volumes under /run, /tmp or a new top-level directory`)}`,
  ];
}

function cover(path: string, target: string): string {
  return `mount -n -t tmpfs -o mode=755 sandbox-cover ${target} || fail ${quote(`cannot cover ${path}`)}`;
}

function bindInto(bind: Bind, target: string): string[] {
  const make =
    bind.kind === 'directory'
      ? `mkdir -p ${target}`
      : `mkdir -p "$(dirname ${target})" && { [ -e ${target} ] || : > ${target}; }`;
  const lines = [
    `{ [ -e ${target} ] || { ${make}; }; } && mount -n --rbind ${quote(bind.source)} ${target} || ` +
      `fail ${quote(`cannot mount at ${bind.target}`)}`,
  ];
  if (bind.readOnly) {
    lines.push(
      `mount -n -o remount,bind,ro ${target} || fail ${quote(`${bind.target} stays writable`)}`,
    );
  }
  return lines;
}

export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
