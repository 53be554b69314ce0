// Finds the handler that `_HANDLER` names.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// A failure that has a name of its own in Lambda.
export class Fault extends Error {
  constructor(name, message, cause) {
    super(message);
    this.name = name;
    if (cause?.stack) {
      this.stack = `${name}: ${message}\n${cause.stack.split('\n').filter((line) => /^\s+at /.test(line)).join('\n')}`;
    } else {
      Error.captureStackTrace?.(this, Fault);
      this.stack = `${name}: ${message}\n${this.stack.split('\n').filter((line) => /^\s+at /.test(line)).join('\n')}`;
    }
  }
}

// What AWS's runtime brings along and a plain Node does not.
const BUNDLED = ['@aws-sdk/', '@smithy/', '@aws/durable-execution-sdk-js'];

function advice(error, startFolder) {
  const missing = /Cannot find (?:module|package) '([^']+)'/.exec(error?.message ?? '')?.[1] ?? '';
  if (!BUNDLED.some((name) => missing.startsWith(name))) {
    return '';
  }
  const name = missing.split('/').slice(0, 2).join('/');
  return `\nAWS's runtime brings this package along, this machine does not have it: run \`npm install ${name}\` in ${startFolder}`;
}

function isModule(file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const description = path.join(folder, 'package.json');
    if (fs.existsSync(description)) {
      try {
        return JSON.parse(fs.readFileSync(description, 'utf8')).type === 'module';
      } catch {
        return false;
      }
    }
    if (folder === path.dirname(folder)) {
      return false;
    }
  }
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

const importFile = (file) => import(pathToFileURL(file).href);

export async function loadFile(root, folder, name, isModern) {
  const file = path.resolve(root, folder, name);
  const require = createRequire(path.join(root, 'index.js'));
  if (isFile(file)) {
    return isModern ? importFile(file) : require(file);
  }
  if (isFile(`${file}.js`)) {
    return isModern || isModule(file) ? importFile(`${file}.js`) : require(`${file}.js`);
  }
  if (isFile(`${file}.mjs`)) {
    return importFile(`${file}.mjs`);
  }
  if (isFile(`${file}.cjs`)) {
    return isModern ? importFile(`${file}.cjs`) : require(`${file}.cjs`);
  }
  const wanted = path.join(folder, name);
  return require(require.resolve(path.isAbsolute(wanted) ? wanted : `./${wanted}`, { paths: [root] }));
}

async function loadModule(root, folder, name, isModern, startFolder) {
  try {
    return await loadFile(root, folder, name, isModern);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Fault('Runtime.UserCodeSyntaxError', String(error), error);
    }
    if (error?.code === 'MODULE_NOT_FOUND') {
      throw new Fault('Runtime.ImportModuleError', String(error) + advice(error, startFolder), error);
    }
    const more = advice(error, startFolder);
    if (more) {
      error.message += more;
    }
    throw error;
  }
}

export async function load(root, handler, isModern, startFolder) {
  if (handler.includes('..')) {
    const words = `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`;
    throw new Fault('Runtime.MalformedHandlerName', words);
  }
  const base = path.basename(handler);
  const folder = handler.slice(0, handler.lastIndexOf(base));
  const match = /^([^.]+)\.(.+)$/.exec(base);
  if (!match) {
    throw new Fault('Runtime.MalformedHandlerName', 'Bad handler');
  }
  const module = await loadModule(root, folder, match[1], isModern, startFolder);
  const follow = (from) => match[2].split('.').reduce((value, member) => value?.[member], from);
  const found = follow(module) ?? (isModern ? follow(module?.default) : undefined);
  if (found === undefined || found === null) {
    throw new Fault('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
  }
  if (typeof found !== 'function') {
    throw new Fault('Runtime.HandlerNotFound', `${handler} is not a function`);
  }
  return found;
}
