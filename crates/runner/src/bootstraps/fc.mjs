// durastack's Node bootstrap for Function Compute: runs an event function against the Runtime API. Modules are loaded
// by the first call that needs them, so a failure of loading is one of that call. Its only argument says what is the
// same in every context.
import fs from 'node:fs';
import path from 'node:path';
import util from 'node:util';

import { RuntimeApi } from './client.mjs';
import { current, patchStreams, recordText } from './console.mjs';
import { Fault, loadFile } from './loader.mjs';

const facts = JSON.parse(process.argv[2]);
process.argv.length = 2;
const root = process.env.FC_FUNC_CODE_PATH;
const METHODS = { trace: 'debug', debug: 'debug', log: 'verbose', info: 'info', warn: 'warn', error: 'error' };

function say(level, args) {
  recordText(level.toUpperCase(), `${new Date().toISOString()} ${current.requestId} [${level}] ${util.format(...args)}`);
}

function patchConsole() {
  for (const [name, level] of Object.entries(METHODS)) {
    console[name] = (...args) => say(level, args);
  }
  patchStreams();
}

// An error that the function itself told its callback.
class Handled {
  constructor(error) {
    this.error = error;
  }
}

// What the caller gets for each kind of result.
function format(result) {
  if (result === undefined || result === null) {
    return Buffer.alloc(0);
  }
  if (result instanceof Uint8Array) {
    return Buffer.from(result);
  }
  return Buffer.from(typeof result === 'object' ? (JSON.stringify(result) ?? '') : String(result));
}

// Differs: how a thrown value that is no error is named is not published.
function describe(thrown) {
  const error = thrown instanceof Handled ? thrown.error : thrown;
  let document;
  if (error instanceof Error || (typeof error?.name === 'string' && typeof error?.stack === 'string')) {
    document = { errorMessage: error.message, errorType: error.name, stackTrace: String(error.stack).split('\n') };
  } else {
    const errorType = thrown instanceof Handled ? 'FunctionHandledError' : 'FunctionUnhandledError';
    document = { errorMessage: format(error).toString(), errorType };
  }
  const text = JSON.stringify(document);
  say('error', [text]);
  return Buffer.from(text);
}

patchConsole();
const api = new RuntimeApi(facts.api);
// Where an error is to be told while somebody waits.
let inFlight = null;
let isDying = false;

function postError(where, thrown) {
  const kind = thrown instanceof Handled ? 'HandledInvocationError' : 'UnhandledInvocationError';
  return api.call('POST', where, describe(thrown), { 'lambda-runtime-function-error-type': kind });
}

// Nothing more can be trusted: says so, if somebody waits, and ends.
async function die(error) {
  if (isDying) {
    return;
  }
  isDying = true;
  if (inFlight === null) {
    describe(error);
  } else {
    await postError(inFlight, error);
  }
  process.reallyExit(1);
}

process.on('uncaughtException', (error) => void die(error));
process.on('unhandledRejection', (reason) => void die(reason));

const loaded = new Map();

// The function that `name` means: `index.handler`, also with folders before it.
async function load(name) {
  if (loaded.has(name)) {
    return loaded.get(name);
  }
  const dot = name.lastIndexOf('.');
  if (dot < 0) {
    throw new Fault('InvalidHandlerName', `Invalid handler '${name}'`);
  }
  const [moduleName, functionName] = [name.slice(0, dot), name.slice(dot + 1)];
  const file = path.join(root, moduleName);
  if (!['.js', '.mjs', '.cjs'].some((extension) => fs.existsSync(file + extension))) {
    throw new Fault('ImportModuleError', `Module '${file}.js' is missing.`);
  }
  const module = await loadFile(root, path.dirname(moduleName), path.basename(moduleName), false);
  const found = module?.[functionName] ?? module?.default?.[functionName];
  if (typeof found !== 'function') {
    throw new Fault('HandlerNotFound', `Handler '${functionName}' is missing on module '${moduleName}'`);
  }
  loaded.set(name, found);
  return found;
}

function context() {
  const { function: meta, service, region, accountId } = facts;
  const logger = Object.fromEntries(Object.entries(METHODS).map(([name, level]) => [name, (...args) => say(level, args)]));
  return {
    requestId: current.requestId,
    credentials: {
      accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID ?? '',
      accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET ?? '',
      securityToken: process.env.ALIBABA_CLOUD_SECURITY_TOKEN ?? '',
    },
    function: { ...meta },
    service: { ...service },
    region,
    accountId,
    logger,
    tracing: { spanContext: undefined, jaegerEndpoint: undefined, spanBaggages: {} },
    retryCount: 0,
  };
}

// The first of callback, promise and exception counts. What a function returns that is no promise counts only if the
// function does not ask for a callback.
//
// Differs: the last rule is ours, since the real one is not published.
function call(handler, ...args) {
  return new Promise((resolve, reject) => {
    const callback = (error, result) => {
      if (error === undefined || error === null) {
        resolve(result);
      } else {
        reject(new Handled(error));
      }
    };
    const returned = handler(...args, callback);
    if (typeof returned?.then === 'function') {
      returned.then(resolve, reject);
    } else if (returned !== undefined && handler.length <= args.length) {
      resolve(returned);
    }
  });
}

async function withLoaded(name, ...args) {
  // While a module loads that waits for nothing, the loop may be empty; the process must not end then.
  const alive = setInterval(() => {}, 60_000);
  let handler;
  try {
    handler = await load(name);
  } finally {
    clearInterval(alive);
  }
  return call(handler, ...args);
}

async function serve() {
  for (;;) {
    const { status, headers, body } = await api.call('GET', 'invocation/next');
    if (status !== 200) {
      process.reallyExit(1);
    }
    current.requestId = headers['lambda-runtime-aws-request-id'];
    const where = `invocation/${current.requestId}`;
    inFlight = `${where}/error`;
    try {
      const answer = format(await withLoaded(facts.function.handler, body, context()));
      inFlight = null;
      await api.call('POST', `${where}/response`, answer);
    } catch (error) {
      inFlight = null;
      await postError(`${where}/error`, error);
    }
  }
}

async function main() {
  current.requestId = facts.requestId;
  if (facts.function.initializer !== null) {
    inFlight = 'init/error';
    try {
      await withLoaded(facts.function.initializer, context());
    } catch (error) {
      await postError('init/error', error);
      process.reallyExit(1);
    }
    inFlight = null;
  }
  await serve();
}

// Not awaited: Node would take an empty loop in the middle of an invocation for a fault of its own.
void main();
