import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  decodeSession,
  encodeSession,
  type Session,
  sessionLine,
  sessionOf,
} from './persistent-session.ts';
import type { SessionPersistence } from './route.ts';
import { requestTo } from './test-routes.ts';

const BY_COOKIE: SessionPersistence = {
  type: 'cookie',
  name: 'stay',
  absoluteTimeoutMs: undefined,
  idleTimeoutMs: undefined,
  permanent: false,
};
const BY_HEADER: SessionPersistence = { ...BY_COOKIE, type: 'header', name: 'X-Stay' };
const NOW = 1_800_000_000_000;
const POD = 'cluster//Pod/shop/web-1';
const SESSION: Session = { workload: POD, createdAt: NOW - 60_000, usedAt: NOW - 10_000 };
const HTTP = { scheme: 'http' } as const;
const anybody = (): boolean => true;

function returned(settings: SessionPersistence, value: string, now = NOW, candidate = anybody) {
  const headers: Record<string, string> =
    settings.type === 'cookie' ? { cookie: `stay=${value}` } : { 'x-stay': value };
  return sessionOf(settings, requestTo('/', { headers }), now, candidate);
}

describe('encodeSession() and decodeSession()', () => {
  test('what is written is read back, and fits a cookie', () => {
    const time = fc.nat({ max: 2 ** 31 }).map((seconds) => seconds * 1000);
    const workload = fc.oneof(
      fc.string({ minLength: 1, unit: 'binary', maxLength: 50 }),
      fc.constant(POD),
    );
    fc.assert(
      fc.property(workload, time, time, (workload, createdAt, usedAt) => {
        const session = { workload, createdAt, usedAt };
        const text = encodeSession(session);
        assert.match(text, /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/);
        assert.deepEqual(decodeSession(text), session);
      }),
    );
  });

  test('nothing else is read, and nothing throws', () => {
    const good = encodeSession(SESSION);
    const bad = [
      '',
      '1',
      '1...',
      '1.a.a.',
      '2.a.a.pod',
      '1.a.a.%',
      '1.a.a.%zz',
      '1.a.a.a%2fb',
      '1.A.a.pod',
      '1.0a.a.pod',
      '1.-1.a.pod',
      '1.zzzzzzzzzzzz.a.pod',
      ` ${good}`,
      `${good} `,
      `1.a.a.${'x'.repeat(3000)}`,
    ];
    for (const text of bad) assert.equal(decodeSession(text), undefined, text);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^1\.[0-9a-z.%]*$/)), (text) => {
        const session = decodeSession(text);
        if (session !== undefined) assert.equal(encodeSession(session), text);
      }),
    );
  });
});

describe('sessionOf()', () => {
  test('is what the client hands back, by cookie or header', () => {
    assert.deepEqual(returned(BY_COOKIE, encodeSession(SESSION)), SESSION);
    assert.deepEqual(returned(BY_HEADER, encodeSession(SESSION)), SESSION);
    assert.equal(sessionOf(BY_COOKIE, requestTo('/'), NOW, anybody), undefined);
    assert.equal(sessionOf(BY_HEADER, requestTo('/'), NOW, anybody), undefined);
  });

  test('is found among other cookies, in any line, quoted too; names are compared in case', () => {
    const value = encodeSession(SESSION);
    const found = (...lines: string[]) =>
      sessionOf(
        BY_COOKIE,
        { ...requestTo('/'), headers: lines.map((line) => ['cookie', line]) },
        NOW,
        anybody,
      );
    assert.deepEqual(found(`a=b; stay=${value}; c`), SESSION);
    assert.deepEqual(found('a=b', `stay="${value}"`), SESSION);
    assert.deepEqual(found(`stay=old; stay=${value}`), SESSION);
    assert.equal(found(`Stay=${value}`), undefined);
    assert.equal(found(`notstay=${value}`), undefined);
    assert.equal(found('stay', 'stay=', '=;;=', ''), undefined);
  });

  test('never names what is not among the candidates', () => {
    const candidates = new Set(['pod-a', 'pod-b']);
    const workload = fc.oneof(fc.constantFrom('pod-a', 'pod-b', 'pod-c', ''), fc.string());
    fc.assert(
      fc.property(workload, fc.boolean(), (workload, raw) => {
        const value = raw ? workload : encodeSession({ ...SESSION, workload });
        const session = sessionOf(
          BY_COOKIE,
          { ...requestTo('/'), headers: [['cookie', `stay=${value}`]] },
          NOW,
          (uid) => candidates.has(uid),
        );
        assert.ok(session === undefined || candidates.has(session.workload));
      }),
    );
  });

  test('ends at its absolute timeout, used or not', () => {
    const settings = { ...BY_COOKIE, absoluteTimeoutMs: 60_000 };
    const text = encodeSession({ ...SESSION, createdAt: NOW, usedAt: NOW + 59_000 });
    assert.ok(returned(settings, text, NOW + 59_999));
    assert.equal(returned(settings, text, NOW + 60_000), undefined);
  });

  test('ends when it was idle for too long', () => {
    const settings = { ...BY_COOKIE, idleTimeoutMs: 10_000 };
    const text = encodeSession({ ...SESSION, usedAt: NOW });
    assert.ok(returned(settings, text, NOW + 9_999));
    assert.equal(returned(settings, text, NOW + 10_000), undefined);
  });

  test('does not come from the future, beyond what clocks differ', () => {
    const at = (usedAt: number) => returned(BY_COOKIE, encodeSession({ ...SESSION, usedAt }));
    assert.ok(at(NOW + 60_000));
    assert.equal(at(NOW + 60_001), undefined);
    assert.equal(at(SESSION.createdAt - 1), undefined);
  });
});

describe('sessionLine()', () => {
  test('a new session is told to the client, one that goes on is not', () => {
    const value = encodeSession({ workload: POD, createdAt: NOW, usedAt: NOW });
    assert.deepEqual(sessionLine(BY_COOKIE, undefined, POD, HTTP, NOW), [
      'set-cookie',
      `stay=${value}; Path=/; HttpOnly; SameSite=Strict`,
    ]);
    assert.deepEqual(sessionLine(BY_HEADER, undefined, POD, HTTP, NOW), ['x-stay', value]);
    assert.equal(sessionLine(BY_COOKIE, SESSION, POD, HTTP, NOW), undefined);
  });

  test('where another endpoint had to be picked a new session begins with it', () => {
    const [, value] = sessionLine(BY_HEADER, SESSION, 'pod-b', HTTP, NOW) ?? [];
    assert.deepEqual(decodeSession(value ?? ''), {
      workload: 'pod-b',
      createdAt: NOW,
      usedAt: NOW,
    });
  });

  test('with an idle timeout every answer tells that it was used, and when it began', () => {
    const settings = { ...BY_HEADER, idleTimeoutMs: 10_000 };
    const [, value] = sessionLine(settings, SESSION, POD, HTTP, NOW) ?? [];
    assert.deepEqual(decodeSession(value ?? ''), { ...SESSION, usedAt: NOW });
  });

  test('a permanent cookie lives as long as the session, and only it says how long', () => {
    const settings = { ...BY_COOKIE, absoluteTimeoutMs: 300_000, idleTimeoutMs: 100_000 };
    const line = (permanent: boolean, session?: Session): string =>
      sessionLine({ ...settings, permanent }, session, POD, HTTP, NOW)?.[1] ?? '';
    assert.match(line(true), /; Max-Age=300;/);
    assert.match(line(true, SESSION), /; Max-Age=240;/);
    assert.doesNotMatch(line(false), /Max-Age|Expires/);
  });

  test('a cookie is Secure where the client came by https', () => {
    const [, line] = sessionLine(BY_COOKIE, undefined, POD, { scheme: 'https' }, NOW) ?? [];
    assert.match(line ?? '', /; Secure$/);
  });

  test('what it writes the next request hands back, until the session ends', () => {
    const settings = { ...BY_COOKIE, idleTimeoutMs: 10_000, absoluteTimeoutMs: 25_000 };
    let session: Session | undefined;
    for (const later of [0, 9_000, 18_000, 24_000]) {
      const [, line = ''] = sessionLine(settings, session, POD, HTTP, NOW + later) ?? [];
      const value = line.slice('stay='.length, line.indexOf(';'));
      session = returned(settings, value, NOW + later + 1);
      assert.equal(session?.createdAt, NOW, `${later}`);
    }
    assert.equal(returned(settings, encodeSession(session ?? SESSION), NOW + 25_000), undefined);
  });
});
