// Links of the Markdown pages that lead into the tree must lead somewhere. `npm run check` runs it.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const LINK = /\]\((?!https?:|#)([^)#\s]+)/g;

/** `page: target` for each link whose file is not there. */
export function deadLinks(): string[] {
  return globSync('{*.md,{test,bench,examples}/**/*.md}').flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(LINK)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(dirname(page), target)))
      .map((target) => `${page}: ${target} is not there`),
  );
}
