// The results of `ambit check` for people: a category at a time, each failure with what was seen and what to do. Pure.

import { type CheckResult, passed } from '../check/check.ts';
import type { Style } from './style.ts';

const SIGNS = { success: '√', warning: '‼', error: '×' } as const;

export function renderChecks(results: readonly CheckResult[], style: Style): string {
  const lines: string[] = [];
  let category: string | undefined;
  for (const result of results) {
    if (result.category !== category) {
      if (category !== undefined) lines.push('');
      category = result.category;
      lines.push(style.bold(category), '-'.repeat(category.length));
    }
    const sign = SIGNS[result.result];
    lines.push(
      `${result.result === 'success' ? style.good(sign) : style.bad(sign)} ${result.description}`,
    );
    if (result.result !== 'success') {
      lines.push(`    ${result.message}`, `    ${style.dim('->')} ${result.remedy}`);
    }
  }
  const end = passed(results) ? style.good(SIGNS.success) : style.bad(SIGNS.error);
  return `${lines.join('\n')}\n\nStatus check results are ${end}\n`;
}
