"""A proxy between a function and its durastack that counts checkpoints and can pull the plug.

It passes requests on byte for byte, with the Host header that the function signed, and
kills the server at a chosen checkpoint: "before" it is forwarded, or "after" the server
has answered but before the function hears of it.
"""

import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NOT_FORWARDED = {"connection", "transfer-encoding"}


class Proxy:
    """`with Proxy(server) as proxy:` listens on `proxy.url` until the block ends."""

    def __init__(self, server):
        self.server = server
        self.lock = threading.Lock()
        self.arm(None, None)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def arm(self, kill_at, when):
        """Starts a new count; kills at checkpoint number `kill_at` (from 1; None for never)."""
        self.kill_at, self.when = kill_at, when
        self.checkpoints = 0
        self.acknowledged = []  # names of steps whose success was acknowledged before the kill
        self.killed = threading.Event()

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def _handler(proxy):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fatal = proxy._count(self.path)
                if fatal and proxy.when == "before":
                    return self.hang_up()
                try:
                    answer, text = self.forward(body)
                except (OSError, http.client.HTTPException):
                    return self.close()
                if fatal:
                    return self.hang_up()
                proxy._acknowledge(self.path, body, answer.status)
                self.send_response_only(answer.status, answer.reason)
                for key, value in answer.getheaders():
                    if key.lower() not in NOT_FORWARDED | {"content-length"}:
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = do_any

            def forward(self, body):
                upstream = http.client.HTTPConnection("127.0.0.1", proxy.server.port, timeout=90)
                try:
                    upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for key, value in self.headers.items():
                        if key.lower() not in NOT_FORWARDED:
                            upstream.putheader(key, value)
                    upstream.endheaders(body)
                    answer = upstream.getresponse()
                    return answer, answer.read()
                finally:
                    upstream.close()

            def hang_up(self):
                proxy.server.kill9()
                proxy.killed.set()
                self.close()

            def close(self):
                self.close_connection = True

            def log_message(self, *_):
                pass

        return Handler

    def _count(self, path):
        if not path.split("?")[0].endswith("/checkpoint"):
            return False
        with self.lock:
            self.checkpoints += 1
            return self.checkpoints == self.kill_at

    def _acknowledge(self, path, body, status):
        # What is acknowledged after the restart says nothing about what the kill may lose.
        if path.endswith("/checkpoint") and status == 200 and not self.killed.is_set():
            updates = json.loads(body).get("Updates") or []
            with self.lock:
                self.acknowledged += [
                    update["Name"]
                    for update in updates
                    if update["Type"] == "STEP" and update["Action"] == "SUCCEED" and update.get("Name")
                ]
