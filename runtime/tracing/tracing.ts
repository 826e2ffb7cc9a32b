// Tracing of one process: settings from the environment, a Tracer with its exporter, or nothing where no collector is named.
// Called by the composition roots; close() is theirs.

import { randomBytes } from 'node:crypto';
import type { Attributes } from '../../wire/otlp.ts';
import type { Clock } from '../clock.ts';
import type { SettingsReader } from '../env.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { VERSION } from '../version.ts';
import { SpanExporter } from './exporter.ts';
import { httpPost } from './post.ts';
import { Tracer } from './tracer.ts';

export type TracingSettings = {
  /** Where OTLP over HTTP is taken, path included. */
  readonly endpoint: URL;
  /** More headers of each post, such as a key. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the traces that begin here, the part that is recorded: 0 to 1. */
  readonly sampling: number;
};

export type Tracing = {
  /** undefined: nobody collects. */
  readonly tracer: Tracer | undefined;
  close(): Promise<void>;
};

/** Enough to see how things go, little enough to keep all of it; Istio's default. */
const DEFAULT_SAMPLING = 0.01;
const TRACES_PATH = '/v1/traces';

/** undefined: no endpoint is set, nothing is traced. */
export function readTracingSettings(env: SettingsReader): TracingSettings | undefined {
  const endpoint = env.parsed('AMBIT_OTLP_ENDPOINT', parseEndpoint, undefined);
  const headers = env.parsed('AMBIT_OTLP_HEADERS', parseHeaders, {});
  const sampling = env.fraction('AMBIT_TRACE_SAMPLING', DEFAULT_SAMPLING);
  return endpoint && { endpoint, headers, sampling };
}

export function startTracing(
  parts: { readonly clock: Clock; readonly log: Log; readonly metrics: Metrics },
  settings: TracingSettings | undefined,
  resource: Attributes,
): Tracing {
  if (settings === undefined) return { tracer: undefined, close: async () => {} };
  const { endpoint, headers, sampling } = settings;
  const post = httpPost(endpoint, headers);
  const sink = new SpanExporter(
    { ...parts, post },
    { resource: { ...resource, 'service.version': VERSION } },
  );
  const tracer = new Tracer({ clock: parts.clock, randomBytes, sink }, { ratio: sampling });
  return { tracer, close: () => sink.close() };
}

/** Without a path it is a collector's base address, as OpenTelemetry's own variable has it. @throws TypeError */
function parseEndpoint(text: string): URL {
  if (!/^https?:/i.test(text) || !URL.canParse(text)) {
    throw new TypeError(`"${text}" is no address: expected http://host:4318 or https://host/path`);
  }
  const url = new URL(text);
  if (url.pathname === '/') url.pathname = TRACES_PATH;
  return url;
}

/** `name=value,name=value`, values percent-encoded, as OpenTelemetry's own variable has it. @throws TypeError */
function parseHeaders(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(',').map((pair) => {
      const [, name, value] = /^\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
      if (name === undefined || value === undefined) {
        // not the text itself: it may hold a key
        throw new TypeError('expected name=value pairs with commas between them');
      }
      return [name.toLowerCase(), decodeURIComponent(value)];
    }),
  );
}
