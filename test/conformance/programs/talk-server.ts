// A gRPC server made with @grpc/grpc-js, run by node inside a pod: TALK on port 7070. Prints `LISTENING`, and a line when a
// call was cancelled or its deadline was over.

import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  status,
} from '@grpc/grpc-js';
import { TALK } from './talk-service.ts';

const COUNT_EVERY_MS = 5;

const say: handleUnaryCall<string, string> = (call, respond) => {
  const trailers = new Metadata();
  if (call.request === 'fail') {
    trailers.set('x-reason', 'as asked');
    trailers.set('x-reason-bin', Buffer.from([0, 1, 254, 255]));
    respond({
      code: status.FAILED_PRECONDITION,
      details: 'not today: 100 % “no”',
      metadata: trailers,
    });
    return;
  }
  if (call.request.startsWith('sleep')) {
    call.on('cancelled', () => process.stdout.write(`CANCELLED ${call.request}\n`));
    return;
  }
  if (call.request === 'trailers') trailers.set('x-trailer', 'after the message');
  const head = new Metadata();
  head.set('x-head', call.metadata.get('x-asked').join(';'));
  call.sendMetadata(head);
  respond(null, call.request, trailers);
};

const count: handleServerStreamingCall<string, string> = (call) => {
  const last = call.request.startsWith('forever') ? Infinity : Number(call.request);
  let next = 1;
  const timer = setInterval(() => {
    if (next <= last) call.write(String(next++));
    else {
      clearInterval(timer);
      const trailers = new Metadata();
      trailers.set('x-counted', String(last));
      call.end(trailers);
    }
  }, COUNT_EVERY_MS);
  call.on('cancelled', () => {
    clearInterval(timer);
    process.stdout.write(`CANCELLED ${call.request}\n`);
  });
};

const sum: handleClientStreamingCall<string, string> = (call, respond) => {
  let total = 0;
  call.on('data', (text: string) => {
    total += Number(text);
  });
  call.on('end', () => respond(null, String(total)));
};

const chat: handleBidiStreamingCall<string, string> = (call) => {
  call.on('data', (text: string) => call.write(text));
  call.on('end', () => call.end());
};

const server = new Server();
server.addService(TALK, { say, count, sum, chat });
server.bindAsync('0.0.0.0:7070', ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  process.stdout.write('LISTENING\n');
});
process.on('SIGTERM', () => process.exit(0));
