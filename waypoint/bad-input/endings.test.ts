// How a waypoint that is to end leaves its clients: nobody who rests is waited for, nobody who asked goes without an
// answer. And how long an endpoint that says nothing is waited for, before a body that it was asked about goes to it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { describe, test } from 'node:test';
import { Rig } from '../test-rig.ts';
import { hear, rawEndpoint, say, Witness } from './test-door.ts';

const LONG_MS = 600_000;

describe('a waypoint that ends', () => {
  test('closes connections that rest at once, in every version', async () => {
    const rig = await Rig.open({ drainDeadlineMs: LONG_MS });
    const web = await Witness.open(rig, 'web');
    const socket = await rig.connect(web.service);
    socket.write('GET /x HTTP/1.1\r\nhost: w\r\n\r\n');
    await once(socket, 'data');
    const session = await rig.http2(web.service);
    const stream = session.request({ ':path': '/y' });
    stream.resume();
    await once(stream, 'close');
    const [heard] = await Promise.all([hear(socket), once(session, 'close'), rig.stop()]);
    assert.deepEqual([heard.text, heard.closed], ['', true]);
    await rig.close();
  });

  test('lets a request end, and tells HTTP/1 that it was the last', async () => {
    const rig = await Rig.open({ drainDeadlineMs: LONG_MS });
    const slow = rig.service('slow');
    const asked = Promise.withResolvers<() => void>();
    const server = createHttp((_, response) => asked.resolve(() => response.end('late')));
    await rig.endpoint(slow, 'slow-1', server);
    const socket = await rig.connect(slow);
    socket.write('GET /x HTTP/1.1\r\nhost: w\r\n\r\n');
    const answer = await asked.promise;
    const stopped = rig.stop();
    answer();
    const heard = await hear(socket);
    assert.match(heard.text, /^HTTP\/1\.1 200 [^]*connection: close[^]*late/i);
    await stopped;
    await rig.close();
  });

  test('lets a request of HTTP/2 end, after it said that it takes no more', async () => {
    const rig = await Rig.open({ drainDeadlineMs: LONG_MS });
    const slow = rig.service('slow');
    const asked = Promise.withResolvers<() => void>();
    const server = createHttp((_, response) => asked.resolve(() => response.end('late')));
    await rig.endpoint(slow, 'slow-1', server);
    const session = await rig.http2(slow);
    const stream = session.request({ ':path': '/x' });
    const answer = await asked.promise;
    const goaway = once(session, 'goaway');
    const stopped = rig.stop();
    await goaway;
    answer();
    let body = '';
    for await (const chunk of stream) body += String(chunk);
    assert.equal(body, 'late');
    await stopped;
    await rig.close();
  });
});

describe('a body that its client was told to wait with', () => {
  test('is asked for when the endpoint says nothing for a second', async () => {
    const rig = await Rig.open();
    const mute = await rawEndpoint(rig, 'mute', (socket) => {
      let got = '';
      socket.on('data', (chunk) => {
        got += String(chunk);
        if (got.endsWith('body')) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      });
    });
    const socket = await rig.connect(mute);
    socket.write('POST / HTTP/1.1\r\nhost: w\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n');
    const [head] = (await once(socket, 'data')) as [Buffer];
    assert.match(String(head), /^HTTP\/1\.1 100 /);
    socket.write('body');
    assert.equal((await hear(socket, /ok$/)).status, 200);
    await rig.close();
  });

  test('is not sent when the answer came instead', async () => {
    const rig = await Rig.open();
    const web = rig.service('web');
    const server = createHttp();
    server.on('checkContinue', (_, response) => void response.writeHead(417).end());
    await rig.endpoint(web, 'web-1', server);
    const asked = 'POST / HTTP/1.1\r\nhost: w\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n';
    const heard = await say(rig, web, asked);
    assert.deepEqual([heard.status, heard.closed], [417, true]);
    await rig.close();
  });
});
