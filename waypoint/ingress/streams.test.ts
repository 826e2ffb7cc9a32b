// Bytes from outside through an ingress gateway, over loopback: TCP, TLS that ends here, TLS that is passed on by its
// server name.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import type { Service } from '../../mesh/service.ts';
import { closed, listener, parent, TestIngress } from './test-ingress.ts';

/** Says its name, then what it hears; ends with the client. */
async function echo(edge: TestIngress, name: string): Promise<Service> {
  const service = edge.rig.service(name, 'tcp');
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write(`${name}:`);
    socket.pipe(socket);
  });
  await edge.rig.endpoint(service, `${name}-1`, server);
  return service;
}

async function said(socket: Socket, text: string): Promise<string> {
  socket.end(text);
  let all = '';
  for await (const chunk of socket) all += String(chunk);
  return all;
}

describe('bytes through an ingress gateway', () => {
  test('a listener of TCP leads to the backend of its route, with half-close', async () => {
    const edge = await TestIngress.open();
    try {
      edge.streamRoute('tcp', await echo(edge, 'db'), parent('tcp'));
      await edge.listen(listener('tcp', 5432, { kind: 'tcp' }));
      assert.equal(await said(await edge.socket(5432), 'hello'), 'db:hello');
    } finally {
      await edge.close();
    }
  });

  test('without a route a connection is cut', async () => {
    const edge = await TestIngress.open();
    try {
      await edge.listen(listener('tcp', 5432, { kind: 'tcp' }));
      await closed(edge.dial(5432));
    } finally {
      await edge.close();
    }
  });

  test('TLS that ends here carries bytes', async () => {
    const edge = await TestIngress.open();
    try {
      edge.streamRoute('tls', await echo(edge, 'db'), parent('tls', 'db.example'));
      const serves = await edge.certified('tls', 'db.example');
      await edge.listen(listener('tls', 5432, serves, 'db.example'));
      assert.equal(await said(await edge.secured(5432, 'db.example'), 'hello'), 'db:hello');
    } finally {
      await edge.close();
    }
  });

  test('TLS is passed on by its server name, on one port with TLS that ends here', async () => {
    const edge = await TestIngress.open();
    try {
      const inner = edge.rig.service('inner', 'tls');
      const { certPem, keyPem } = await edge.authority.issue({
        commonName: 'inner',
        hosts: ['inner.example'],
      });
      const server = createTlsServer({ cert: certPem, key: keyPem }, (socket) => {
        socket.end('from inside');
      });
      await edge.rig.endpoint(inner, 'inner-1', server);
      edge.streamRoute('tls', inner, parent('through', 'inner.example'));
      await edge.listen(
        listener('through', 443, { kind: 'passthrough' }, '*.example'),
        listener('https', 443, await edge.certified('https', 'web.example'), 'web.example'),
      );
      const through = await edge.secured(443, 'inner.example');
      assert.equal(through.getPeerCertificate().subject.CN, 'inner');
      const [text] = (await once(through, 'data')) as [Buffer];
      assert.equal(text.toString(), 'from inside');
      const ended = await edge.secured(443, 'web.example');
      assert.equal(ended.getPeerCertificate().subject.CN, 'edge');
      // its listener's, but no route's
      await assert.rejects(edge.secured(443, 'other.example'));
    } finally {
      await edge.close();
    }
  });
});
