// How a handler is called and when it has answered: with callbacks as up to Node.js 22, without from 24 on, and with
// a stream. Each returns a promise of the result. A handler may leave the event loop empty without an answer; `empty`
// then says what to do.
import { Writable } from 'node:stream';

// Called when nothing keeps the event loop alive.
export const loop = { empty: null };

const isThenable = (value) => typeof value?.then === 'function';

export function callModern(handler, event, context) {
  // An empty loop ends the process, as it does in Lambda.
  return Promise.resolve().then(() => handler(event, context));
}

export function callClassic(handler, event, context) {
  return new Promise((resolve, reject) => {
    let answer = null;
    let waits = true;
    const settle = (error, result) => {
      loop.empty = null;
      if (error === undefined || error === null) {
        resolve(result);
      } else {
        reject(error);
      }
    };
    const callback = (error, result) => {
      if (answer === null) {
        answer = [error, result];
        if (!waits) {
          settle(error, result);
        }
      }
    };
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
      enumerable: true,
      get: () => waits,
      set: (value) => {
        waits = Boolean(value);
        if (!waits && answer !== null) {
          settle(...answer);
        }
      },
    });
    context.done = (error, result) => {
      waits = false;
      callback(error, result);
    };
    context.succeed = (result) => context.done(null, result);
    context.fail = (error) => context.done(error === undefined || error === null ? 'handled' : error);
    loop.empty = () => settle(...(answer ?? [null, null]));
    let returned;
    try {
      returned = handler(event, context, callback);
    } catch (error) {
      loop.empty = null;
      reject(error);
      return;
    }
    if (isThenable(returned)) {
      returned.then(
        (result) => settle(null, result),
        (error) => {
          loop.empty = null;
          reject(error);
        },
      );
    }
  });
}

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HTTP_TYPE = 'application/vnd.awslambda.http-integration-response';

class ResponseStream extends Writable {
  chunks = [];
  contentType = 'application/octet-stream';

  setContentType(type) {
    this.contentType = type;
  }

  _write(chunk, encoding, done) {
    this.chunks.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk));
    done();
  }
}

export const isStreaming = (handler) => handler[STREAMING] !== undefined;

// Differs: the stream is sent once it is complete, since nobody here reads it earlier.
export async function callStreaming(handler, event, context) {
  const stream = new ResponseStream();
  const finished = new Promise((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
  });
  finished.catch(() => {});
  // A stream that is never ended lasts until the function's timeout.
  const alive = setInterval(() => {}, 60_000);
  try {
    await handler(event, stream, context);
    await finished;
  } finally {
    clearInterval(alive);
  }
  return { body: Buffer.concat(stream.chunks), contentType: stream.contentType };
}

export function defineGlobals() {
  globalThis.awslambda = {
    streamifyResponse: (handler, options) => {
      handler[STREAMING] = 'response';
      if (options?.highWaterMark !== undefined) {
        handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')] = options.highWaterMark;
      }
      return handler;
    },
    HttpResponseStream: class HttpResponseStream {
      static from(stream, prelude) {
        stream.setContentType(HTTP_TYPE);
        stream.write(JSON.stringify(prelude));
        stream.write(Buffer.alloc(8));
        return stream;
      }
    },
  };
}
