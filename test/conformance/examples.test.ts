// The examples of examples/ do what their pages say: the commands of each page are run as they are, one page after the
// other on one cluster, and print what the page promises.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { before, test } from 'node:test';
import { projectPath } from '../../runtime/entry.ts';
import { kubectlMissing } from '../support/kubectl.ts';
import { sandboxSuite } from '../support/sandbox.ts';
import { type Step, stepsOf, walk } from './walkthrough.ts';

const INDEX = readFileSync(projectPath('examples/README.md'), 'utf8');
const EXAMPLES = [...INDEX.matchAll(/^\| \[([a-z-]+)\]\(\1\/README\.md\)/gm)].map(
  ([, name = '']) => name,
);

sandboxSuite(
  'examples',
  (sandbox) => {
    before(() =>
      walk(
        sandbox(),
        // the cluster is there already
        stepsOf(INDEX).filter(({ command }) => !command.startsWith('./ambit sandbox')),
      ),
    );

    for (const name of EXAMPLES) {
      test(name, async () => {
        try {
          for (const step of stepsOf(
            await readFile(projectPath(`examples/${name}/README.md`), 'utf8'),
          )) {
            if (name === 'rate-limit' && step.promised?.includes('429')) await limited();
            await walk(sandbox(), [step]);
          }
        } finally {
          await deleteAll();
        }
      });
    }

    /** Who is asked again in the midst of it has used up a part of the limit: other users tell when it has begun. */
    function limited(): Promise<void> {
      const asked = `curl -s -o /dev/null -w "%{http_code} " -H "x-user: ${randomUUID()}" web`;
      const twelve = `for i in $(seq 12); do ${asked}; done`;
      const step: Step = {
        command: `kubectl exec -n examples deploy/client -- sh -c '${twelve}'`,
        promised: '…429',
      };
      return walk(sandbox(), [step]);
    }

    /** Whatever is left of a page that failed. */
    async function deleteAll(): Promise<void> {
      const kinds =
        'httproutes,trafficpolicies,authorizationpolicies.security.ambit-mesh.io,requestauthentications.security.ambit-mesh.io';
      await sandbox().kubectl(['delete', '-n', 'examples', kinds, '--all']);
    }
  },
  kubectlMissing(),
);
