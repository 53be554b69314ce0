// Where output goes. Records and plain output both leave as frames through descriptor 3: a record of several lines
// stays one event, and the two stay in order.
import fs from 'node:fs';
import util from 'node:util';

const TELEMETRY = 3;
const FRAME_PLAIN = 0x44530001;
const FRAME_TEXT = 0xa55a0003;
const FRAME_JSON = 0xa55a0002;
const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const METHODS = { trace: 'TRACE', debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR' };

const isJson = (process.env.AWS_LAMBDA_LOG_FORMAT ?? '').toUpperCase() === 'JSON';
const lowest = LEVELS[(process.env.AWS_LAMBDA_LOG_LEVEL ?? '').toUpperCase()] ?? 0;

// The invocation in flight.
export const current = { requestId: undefined, tenantId: undefined };

function send(kind, data) {
  const now = Date.now();
  const head = Buffer.alloc(16);
  head.writeUInt32BE(kind >>> 0, 0);
  head.writeUInt32BE(data.length, 4);
  head.writeBigUInt64BE(BigInt(now) * 1000n, 8);
  const frame = Buffer.concat([head, data]);
  for (let at = 0; at < frame.length; ) {
    at += fs.writeSync(TELEMETRY, frame, at);
  }
}

// A record of text, whatever Lambda's variables say.
export function recordText(level, message) {
  send((FRAME_TEXT | (LEVELS[level] << 2)) >>> 0, Buffer.from(message));
}

function record(level, message) {
  send(((isJson ? FRAME_JSON : FRAME_TEXT) | (LEVELS[level] << 2)) >>> 0, Buffer.from(message));
}

function fields(level, members) {
  const ids = { requestId: current.requestId };
  if (current.tenantId !== undefined) {
    ids.tenantId = current.tenantId;
  }
  return { timestamp: new Date().toISOString(), level, ...ids, ...members };
}

function ofError(error) {
  return {
    errorType: error?.name ?? 'UnknownError',
    errorMessage: error?.message ?? String(error),
    stackTrace: typeof error?.stack === 'string' ? error.stack.split('\n') : [],
  };
}

function write(level, args) {
  if (LEVELS[level] < lowest) {
    return;
  }
  if (!isJson) {
    record(level, `${new Date().toISOString()}\t${current.requestId}\t${level}\t${util.format(...args)}`);
    return;
  }
  const error = args.find((arg) => arg instanceof Error);
  const nested = args.length === 1 && typeof args[0] === 'object' && args[0] !== null && !error;
  let text;
  try {
    text = JSON.stringify(fields(level, { message: nested ? args[0] : util.format(...args), ...(error && ofError(error)) }));
  } catch {
    text = JSON.stringify(fields(level, { message: util.format(...args) }));
  }
  record(level, text);
}

// The record of a failure: `label` says where it came from.
export function logFailure(label, error) {
  if (isJson) {
    record('ERROR', JSON.stringify(fields('ERROR', { message: { ...ofError(error) } })));
    return;
  }
  let text;
  try {
    const { errorType, errorMessage, stackTrace } = ofError(error);
    text = JSON.stringify({ errorType, errorMessage, ...error, stack: stackTrace });
  } catch {
    text = util.inspect(error);
  }
  record('ERROR', `${new Date().toISOString()}\t${current.requestId}\tERROR\t${label} \t${text}`);
}

export function patchConsole(idDuringInit) {
  current.requestId = idDuringInit;
  for (const [name, level] of Object.entries(METHODS)) {
    console[name] = (...args) => write(level, args);
  }
  console.fatal = (...args) => write('FATAL', args);
  patchStreams();
}

export function patchStreams() {
  for (const stream of [process.stdout, process.stderr]) {
    stream.write = (chunk, encoding, callback) => {
      const done = typeof encoding === 'function' ? encoding : callback;
      const data = typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8') : Buffer.from(chunk);
      if (data.length) {
        send(FRAME_PLAIN, data);
      }
      if (done) {
        process.nextTick(done);
      }
      return true;
    };
  }
}
