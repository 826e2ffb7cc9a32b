// Session persistence: which endpoint a client's session is with, told by a cookie or header that the client hands back.
// Called by the waypoint before it picks an endpoint, and again for the answer. Pure: the clock is passed in.
//
// Invariant: what a client hands back is a wish. It is followed only if it names one of the endpoints that would have been
// picked from anyway, so that nobody can reach by it what they could not reach without. It is not signed: a client that
// changes it chooses among those endpoints, or lengthens its own session, as it could by asking anew.

import { type HttpRequest, headerOf } from './http-request.ts';
import type { SessionPersistence } from './route.ts';

export type Session = {
  /** uid of the workload it is with. */
  readonly workload: string;
  /** Unix ms. */
  readonly createdAt: number;
  /** Unix ms of the latest request of which the client knows. */
  readonly usedAt: number;
};

/** Longer than the uid of any workload, its times and their encoding; more from a client is not worth reading. */
const MAX_VALUE_LENGTH = 2048;
const TIME = /^[0-9a-z]{1,11}$/;
/** Waypoints' clocks differ; one that is this much behind another still believes its sessions. */
const CLOCK_SKEW_MS = 60_000;
/** RFC 6265 section 4.1.1. */
const COOKIE_PAIR = /^\s*([^=\s]+)\s*=\s*"?([^\s",;\\]*)"?\s*$/;

/** Fit for a cookie and for a header: letters, digits and `-_.!~*'()%`. */
export function encodeSession({ workload, createdAt, usedAt }: Session): string {
  const uid = encodeURIComponent(workload.toWellFormed());
  return `1.${createdAt.toString(36)}.${usedAt.toString(36)}.${uid}`;
}

/** undefined for whatever {@link encodeSession} does not write. */
export function decodeSession(text: string): Session | undefined {
  if (text.length > MAX_VALUE_LENGTH) return undefined;
  const [version, created = '', used = '', ...rest] = text.split('.');
  if (version !== '1' || !TIME.test(created) || !TIME.test(used)) return undefined;
  const createdAt = Number.parseInt(created, 36);
  const usedAt = Number.parseInt(used, 36);
  if (!Number.isSafeInteger(createdAt) || !Number.isSafeInteger(usedAt)) return undefined;
  try {
    const session = { workload: decodeURIComponent(rest.join('.')), createdAt, usedAt };
    return session.workload !== '' && encodeSession(session) === text ? session : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The session a request belongs to. undefined: none, or one that has ended, or whose endpoint is not among the candidates;
 * then an endpoint is picked as for anybody, and a new session begins with it.
 * @param isCandidate whether a workload, by uid, may be picked for this very request
 */
export function sessionOf(
  settings: SessionPersistence,
  request: HttpRequest,
  now: number,
  isCandidate: (workload: string) => boolean,
): Session | undefined {
  for (const text of handedBack(settings, request)) {
    const session = decodeSession(text);
    if (session === undefined || !isCandidate(session.workload)) continue;
    if (isAlive(settings, session, now)) return session;
  }
  return undefined;
}

function isAlive(
  { absoluteTimeoutMs, idleTimeoutMs }: SessionPersistence,
  { createdAt, usedAt }: Session,
  now: number,
): boolean {
  if (usedAt < createdAt || usedAt > now + CLOCK_SKEW_MS) return false;
  if (absoluteTimeoutMs !== undefined && now - createdAt >= absoluteTimeoutMs) return false;
  return idleTimeoutMs === undefined || now - usedAt < idleTimeoutMs;
}

/** A client may hold several cookies of one name, of several paths. */
function handedBack({ type, name }: SessionPersistence, request: HttpRequest): readonly string[] {
  if (type === 'header') {
    const value = headerOf(request, name.toLowerCase());
    return value === undefined ? [] : [value];
  }
  const values: string[] = [];
  for (const [header, line] of request.headers) {
    if (header !== 'cookie') continue;
    for (const pair of line.split(';')) {
      const [, key, value] = COOKIE_PAIR.exec(pair) ?? [];
      if (key === name && value !== undefined) values.push(value);
    }
  }
  return values;
}

/**
 * The header line of the answer that keeps the session with `workload`, which has just answered; undefined: the client
 * knows already. With an idle timeout every answer tells it anew.
 */
export function sessionLine(
  settings: SessionPersistence,
  session: Session | undefined,
  workload: string,
  request: Pick<HttpRequest, 'scheme'>,
  now: number,
): readonly [name: string, value: string] | undefined {
  const goesOn = session !== undefined && session.workload === workload;
  if (goesOn && settings.idleTimeoutMs === undefined) return undefined;
  const createdAt = goesOn ? session.createdAt : Math.trunc(now);
  const usedAt = Math.max(Math.trunc(now), createdAt);
  const value = encodeSession({ workload, createdAt, usedAt });
  if (settings.type === 'header') return [settings.name.toLowerCase(), value];
  return ['set-cookie', cookieOf(settings, value, createdAt, request, now)];
}

/**
 * GEP-1619: the path is `/`; as closed to others as it can be, but Secure only where the client came by https, or it would
 * never hand the cookie back. Without Max-Age it ends with the browser.
 */
function cookieOf(
  { name, permanent, absoluteTimeoutMs }: SessionPersistence,
  value: string,
  createdAt: number,
  { scheme }: Pick<HttpRequest, 'scheme'>,
  now: number,
): string {
  const parts = [`${name}=${value}`, 'Path=/'];
  if (permanent && absoluteTimeoutMs !== undefined) {
    parts.push(`Max-Age=${Math.max(0, Math.ceil((createdAt + absoluteTimeoutMs - now) / 1000))}`);
  }
  parts.push('HttpOnly', 'SameSite=Strict');
  if (scheme === 'https') parts.push('Secure');
  return parts.join('; ');
}
