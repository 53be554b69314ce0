"""What durastack's Python bootstraps share: output, log records and the Runtime API, with the standard library alone.

Descriptor 3 takes framed log records, so that a record of several lines stays one event. Prints go the same way, so
that both stay in order; what native code and child processes print comes through the ordinary pipe.
"""

import _thread
import io
import json
import logging
import os
import socket
import sys
import time
import traceback

TELEMETRY = 3
FRAME_PLAIN = 0x44530001
FRAME_TEXT = 0xA55A0003
FRAME_JSON = 0xA55A0002
LEVELS = {"TRACE": 1, "DEBUG": 2, "INFO": 3, "WARN": 4, "WARNING": 4, "ERROR": 5, "FATAL": 6, "CRITICAL": 6}


# Of the frames that threads write, each must leave whole. A child after a fork starts with a lock of its own.
lock = _thread.RLock()


def renew_lock():
    global lock
    lock = _thread.RLock()


os.register_at_fork(after_in_child=renew_lock)


def send(kind, data):
    head = kind.to_bytes(4, "big") + len(data).to_bytes(4, "big") + (time.time_ns() // 1000).to_bytes(8, "big")
    with lock:
        try:
            write_all(TELEMETRY, head + data)
        except OSError:
            # A daemon closes everything that it does not know.
            write_all(1, data if kind == FRAME_PLAIN else data + b"\n")


def write_all(number, data):
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(number, rest) :]


class Output(io.RawIOBase):
    """stdout or stderr: bytes become plain frames."""

    def __init__(self, number):
        self.number = number

    def writable(self):
        return True

    def fileno(self):
        return self.number

    def isatty(self):
        return False

    def write(self, data):
        data = bytes(data)
        if data:
            send(FRAME_PLAIN, data)
        return len(data)


os.set_inheritable(TELEMETRY, False)
for name, number in (("stdout", 1), ("stderr", 2)):
    errors = "backslashreplace" if number == 2 else "strict"
    stream = io.TextIOWrapper(Output(number), encoding="utf-8", errors=errors, newline="\n", write_through=True)
    setattr(sys, name, stream)
    setattr(sys, "__%s__" % name, stream)


def start_in(root):
    """User code is found as if the interpreter had been started with it."""
    sys.path[0] = root
    sys.argv[:] = [sys.argv[0]]


class Invocation:
    """Ids of the invocation in flight, for log records."""

    request_id = ""
    tenant_id = None


class Records(logging.Handler):
    """The one handler of the root logger."""

    def __init__(self, kind, formatter):
        super().__init__()
        self.kind = kind
        self.setFormatter(formatter)

    def emit(self, record):
        try:
            record.aws_request_id = Invocation.request_id
            record.tenant_id = Invocation.tenant_id
            send_record(self.kind, record.levelname, self.format(record))
        except Exception:
            self.handleError(record)


def send_record(kind, level, text):
    send(kind | LEVELS.get(level, 0) << 2, text.encode("utf-8", "backslashreplace"))


class RuntimeApi:
    """One connection, kept open, without the weight of http.client."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.host = address
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def call(self, method, path, body=b"", headers=()):
        lines = ["%s /2018-06-01/runtime/%s HTTP/1.1" % (method, path), "host: " + self.host]
        if method == "POST":
            lines += ["content-length: %d" % len(body), "content-type: application/json"]
        lines += ["%s: %s" % header for header in headers]
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode() + body)
        while b"\r\n\r\n" not in self.buffer:
            self.receive()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        answer = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            answer[name.lower()] = value.strip()
        length = int(answer.get("content-length", "0"))
        if len(self.buffer) >= length:
            body, self.buffer = self.buffer[:length], self.buffer[length:]
            return status, answer, body
        body = bytearray(length)
        have = len(self.buffer)
        body[:have] = self.buffer
        self.buffer = b""
        view = memoryview(body)
        while have < length:
            count = self.socket.recv_into(view[have:])
            if not count:
                os._exit(1)
            have += count
        return status, answer, bytes(body)

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            # durastack is gone, or has no more use for this process.
            os._exit(1)
        self.buffer += data


class Fault(Exception):
    """A failure that has a name of its own in Lambda."""

    def __init__(self, kind, message, stack=()):
        super().__init__(message)
        self.kind = kind
        self.stack = list(stack)
