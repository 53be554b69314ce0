// The Runtime API over one connection that is kept open. It keeps the event loop alive only while a call is open, so
// that an empty loop is seen even in the middle of an invocation.
import net from 'node:net';

const END_OF_HEAD = '\r\n\r\n';

export class RuntimeApi {
  #socket;
  #address;
  #chunks = [];
  #wake = null;

  constructor(address) {
    const at = address.lastIndexOf(':');
    this.#address = address;
    this.#socket = net.connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), noDelay: true });
    this.#socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#wake?.();
    });
    // durastack is gone, or has no more use for this process.
    this.#socket.on('error', () => process.reallyExit(1));
    this.#socket.on('close', () => process.reallyExit(1));
  }

  async call(method, path, body, headers = {}) {
    const lines = [`${method} /2018-06-01/runtime/${path} HTTP/1.1`, `host: ${this.#address}`];
    if (body !== undefined) {
      lines.push(`content-length: ${body.length}`);
    }
    for (const [name, value] of Object.entries(headers)) {
      lines.push(`${name}: ${String(value).replace(/[^\x20-\x7e]/g, ' ')}`);
    }
    this.#socket.ref();
    this.#socket.write(lines.join('\r\n') + END_OF_HEAD, 'latin1');
    if (body?.length) {
      this.#socket.write(body);
    }
    try {
      return await this.#answer();
    } finally {
      this.#socket.unref();
    }
  }

  async #answer() {
    let head;
    let start;
    let length = 0;
    for (;;) {
      const have = this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
      if (head === undefined && have > 0) {
        const all = this.#join();
        const end = all.indexOf(END_OF_HEAD);
        if (end >= 0) {
          head = parse(all.toString('latin1', 0, end));
          start = end + END_OF_HEAD.length;
          length = Number(head.headers['content-length'] ?? 0);
        }
      }
      if (head !== undefined && have >= start + length) {
        const all = this.#join();
        this.#chunks = all.length > start + length ? [all.subarray(start + length)] : [];
        return { ...head, body: all.subarray(start, start + length) };
      }
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  #join() {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}

function parse(text) {
  const [first, ...lines] = text.split('\r\n');
  const headers = {};
  for (const line of lines) {
    const at = line.indexOf(':');
    headers[line.slice(0, at).toLowerCase()] = line.slice(at + 1).trim();
  }
  return { status: Number(first.split(' ')[1]), headers };
}

// Header values are bytes; those that hold text hold UTF-8.
export function utf8(value) {
  return value === undefined ? undefined : Buffer.from(value, 'latin1').toString('utf8');
}
