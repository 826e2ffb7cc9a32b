// Reads Prometheus text format, as far as `ambit status` needs it: samples with their labels.

export type ExpositionSample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
};

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Samples of the named families; lines that are not samples are passed over (text format 0.0.4). */
export function readSamples(text: string, names: ReadonlySet<string>): ExpositionSample[] {
  const samples: ExpositionSample[] = [];
  for (const line of text.split('\n')) {
    const [, name, labelText = '', value] = SAMPLE.exec(line) ?? [];
    if (name === undefined || value === undefined || !names.has(name)) continue;
    const labels = Object.fromEntries(
      [...labelText.matchAll(LABEL)].map(([, key = '', raw = '']) => [key, unescape(raw)]),
    );
    samples.push({ name, labels, value: Number(value) });
  }
  return samples;
}

function unescape(raw: string): string {
  return raw.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
}
