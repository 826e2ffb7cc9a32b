// Path templates of policies: `{*}` is one whole segment, `{**}` any number of segments, none too. Read once by whoever
// translates or decodes a policy, matched by request-match.ts. Pure; a match takes time in proportion to the path.

const ONE = '{*}';
const MANY = '{**}';

/** Whether a policy's author meant a template. */
export function isTemplate(text: string): boolean {
  return text.includes('{') || text.includes('}');
}

/** What is wrong with a template; undefined: nothing. */
export function templateProblem(text: string): string | undefined {
  if (!text.startsWith('/')) return 'a template begins with /';
  const segments = text.split('/');
  const unlike = segments.find((one) => one !== ONE && one !== MANY && /[{}*]/.test(one));
  if (unlike !== undefined) return `"${unlike}" is neither {*}, {**} nor plain text`;
  const many = segments.indexOf(MANY);
  if (many >= 0 && segments.slice(many + 1).some((one) => one === ONE || one === MANY)) {
    return '{**} must be the last of its operators';
  }
  return undefined;
}

/** `template` is one that {@link templateProblem} found nothing wrong with. */
export function templateMatches(template: string, path: string): boolean {
  const many = template.indexOf(MANY);
  if (many < 0) {
    const rest = afterSegments(template, path);
    return rest === '';
  }
  const rest = afterSegments(template.slice(0, many), path);
  return rest?.endsWith(template.slice(many + MANY.length)) === true;
}

/** What of `path` is left after `template`, which has no `{**}`; undefined: it begins otherwise. */
function afterSegments(template: string, path: string): string | undefined {
  let at = 0;
  const [first = '', ...others] = template.split(ONE);
  if (!path.startsWith(first)) return undefined;
  at = first.length;
  for (const literal of others) {
    const slash = path.indexOf('/', at);
    const end = slash < 0 ? path.length : slash;
    // an operator stands for something
    if (end === at || !path.startsWith(literal, end)) return undefined;
    at = end + literal.length;
  }
  return path.slice(at);
}
