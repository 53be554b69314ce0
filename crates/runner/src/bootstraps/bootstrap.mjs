// durastack's Node bootstrap: runs a Lambda handler against the Runtime API, with Node's own modules alone. Functions
// for Node.js 24 and later behave as AWS's client 4 makes them, earlier ones as client 3 does; the function's runtime
// decides, not the version of the interpreter.
import { callClassic, callModern, callStreaming, defineGlobals, isStreaming, loop } from './callback.mjs';
import { RuntimeApi, utf8 } from './client.mjs';
import { current, logFailure, patchConsole } from './console.mjs';
import { Fault, load } from './loader.mjs';

const startFolder = process.argv[2];
process.argv.length = 2;
const version = Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV ?? '')?.[1] ?? 22);
const isModern = version >= 24;
// With what status the process ends after each kind of failure.
const exitCodes = isModern ? { rejection: 1, exception: 1, init: 1 } : { rejection: 128, exception: 129, init: 129 };

patchConsole(isModern ? '-' : 'undefined');
const api = new RuntimeApi(process.env.AWS_LAMBDA_RUNTIME_API);
let isLoading = true;
let inFlight = null;

function describe(error) {
  if (error === undefined && !isModern) {
    return { errorType: 'string', errorMessage: 'handled', trace: [] };
  }
  if (error instanceof Error || (typeof error?.name === 'string' && typeof error?.stack === 'string')) {
    return {
      errorType: error.name,
      errorMessage: error.message,
      trace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
    };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

const jsonType = { 'content-type': 'application/json' };
const bytes = (document) => Buffer.from(JSON.stringify(document));

function postInitError(error) {
  const document = describe(error);
  const headers = { ...jsonType, 'lambda-runtime-function-error-type': document.errorType };
  return api.call('POST', 'init/error', bytes(document), headers);
}

// Nothing more can be trusted: says so, if somebody waits, and ends.
async function die(error, label, code) {
  logFailure(label, error);
  if (isLoading) {
    await postInitError(error);
  } else if (inFlight !== null && !isModern) {
    await api.call('POST', `invocation/${inFlight}/error`, bytes(describe(error)), jsonType);
  }
  process.reallyExit(code);
}

process.on('uncaughtException', (error) => void die(error, 'Uncaught Exception', exitCodes.exception));
process.on('unhandledRejection', (reason) => {
  const message = reason instanceof Error ? String(reason) : String(reason ?? 'undefined');
  const error = new Fault('Runtime.UnhandledPromiseRejection', message, reason instanceof Error ? reason : undefined);
  error.reason = reason;
  void die(error, 'Unhandled Promise Rejection', exitCodes.rejection);
});
process.on('beforeExit', () => loop.empty?.());

function stringify(result) {
  if (typeof result === 'function' || typeof result === 'symbol') {
    throw new TypeError('Wrong arguments');
  }
  try {
    return Buffer.from(JSON.stringify(result === undefined ? null : result) ?? 'null');
  } catch {
    const words = 'Unable to stringify response body';
    throw isModern ? new Fault('Runtime.JSONStringifyError', words) : new Error(words);
  }
}

function parseContext(text) {
  if (text === undefined) {
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ClientContext as json: ${error.message}`);
  }
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseContext(utf8(headers['lambda-runtime-client-context'])),
    identity: parseContext(utf8(headers['lambda-runtime-cognito-identity'])),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: utf8(headers['lambda-runtime-aws-tenant-id']),
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  if (isModern) {
    context.xRayTraceId = headers['lambda-runtime-trace-id'];
  }
  return context;
}

async function answer(handler, headers, body) {
  let event;
  let context;
  try {
    event = JSON.parse(body.toString('utf8'));
    context = contextOf(headers);
  } catch (error) {
    if (isModern) {
      logFailure('Invoke Error', error);
      process.reallyExit(1);
    }
    throw error;
  }
  if (isStreaming(handler)) {
    const { body: streamed, contentType } = await callStreaming(handler, event, context);
    return [streamed, { 'content-type': contentType, 'lambda-runtime-function-response-mode': 'streaming' }];
  }
  const call = isModern ? callModern : callClassic;
  return [stringify(await call(handler, event, context)), jsonType];
}

async function serve(handler) {
  for (;;) {
    const { status, headers, body } = await api.call('GET', 'invocation/next');
    if (status !== 200) {
      process.reallyExit(exitCodes.exception);
    }
    const id = headers['lambda-runtime-aws-request-id'];
    inFlight = id;
    current.requestId = id;
    current.tenantId = utf8(headers['lambda-runtime-aws-tenant-id']);
    const trace = headers['lambda-runtime-trace-id'];
    if (trace === undefined) {
      delete process.env._X_AMZN_TRACE_ID;
    } else {
      process.env._X_AMZN_TRACE_ID = trace;
    }
    let posted;
    try {
      const [data, more] = await answer(handler, headers, body);
      inFlight = null;
      posted = await api.call('POST', `invocation/${id}/response`, data, more);
    } catch (error) {
      inFlight = null;
      logFailure('Invoke Error', error);
      posted = await api.call('POST', `invocation/${id}/error`, bytes(describe(error)), jsonType);
    }
    if (posted.status !== 202) {
      console.error(`Failed to post the result of an invocation. Http response code: ${posted.status}. ${posted.body}`);
    }
  }
}

async function main() {
  defineGlobals();
  let handler;
  // While a module loads that waits for nothing, the loop may be empty; the process must not end then.
  const alive = setInterval(() => {}, 60_000);
  try {
    handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER, isModern, startFolder);
    if (isModern && !isStreaming(handler) && handler.length >= 3) {
      const words = 'Handlers with a callback ended with Node.js 22: return a value or a promise instead of calling the third parameter';
      throw new Fault('Runtime.CallbackHandlerDeprecated', words);
    }
  } catch (error) {
    logFailure(isModern ? 'Init Error' : 'Uncaught Exception', error);
    await postInitError(error);
    process.reallyExit(exitCodes.init);
  }
  clearInterval(alive);
  isLoading = false;
  await serve(handler);
}

// Not awaited: Node would take an empty loop in the middle of an invocation for a fault of its own.
void main();
