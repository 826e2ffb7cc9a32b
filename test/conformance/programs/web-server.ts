// A web server with what applications do besides answering, run by node inside a pod: WebSockets made with `ws` and odd
// but lawful HTTP, on port 8080. Prints `LISTENING`.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const MAX_PAYLOAD = 4 * 1024 * 1024;
const EVENTS = 3;

const server = createServer((request, response) => {
  switch (request.url) {
    case '/events': {
      // the next only after the client has said that it saw the last: nothing on the way may wait for the end
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      let sent = 0;
      const send = (): void => void response.write(`data: ${++sent}\n\n`);
      request.on('data', () => (sent < EVENTS ? send() : response.end()));
      send();
      return;
    }
    case '/early-hints':
      response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
      response.end('after hints');
      return;
    case '/trailers':
      response.writeHead(200, { trailer: 'x-sum' });
      response.write('body');
      response.addTrailers({ 'x-sum': '42' });
      response.end();
      return;
    case '/nothing':
      response.writeHead(204).end();
      return;
    case '/not-modified':
      response.writeHead(304, { etag: '"x"' }).end();
      return;
    default:
      request.pipe(
        response.writeHead(200, { 'content-length': request.headers['content-length'] ?? 0 }),
      );
  }
});
server.on('checkContinue', (request, response) => {
  if (request.headers['x-refuse'] !== undefined) {
    response.writeHead(417).end();
    return;
  }
  response.writeContinue();
  server.emit('request', request, response);
});

const sockets = new WebSocketServer({
  server,
  maxPayload: MAX_PAYLOAD,
  handleProtocols: (protocols) => (protocols.has('v2.talk') ? 'v2.talk' : false),
});
sockets.on('connection', (socket) => {
  socket.on('error', () => {});
  socket.on('message', (message, binary) => {
    if (String(message) === 'leave') socket.close(4001, 'as asked');
    else socket.send(message, { binary });
  });
});
server.listen(8080, () => process.stdout.write('LISTENING\n'));
process.on('SIGTERM', () => process.exit(0));
