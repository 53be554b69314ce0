"""SigV4 by hand, so that a test can be wrong in exactly one place. Sends requests byte for byte."""

import hashlib
import hmac
import http.client
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote

UNRESERVED = "-_.~"


@dataclass
class Answer:
    status: int
    headers: dict  # lower-case names
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The exception name, as SDKs read it."""
        return self.headers.get("x-amzn-errortype", "").split(":")[0]

    @property
    def message(self):
        return self.json.get("message") or self.json.get("Message")


def send(server, method, target, headers=None, body=b""):
    """Sends a request as it is: no header is added but Content-Length, and Host if missing."""
    headers = dict(headers or {})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        headers.setdefault("Host", host_of(server))
        headers.setdefault("Content-Length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def host_of(server):
    return f"127.0.0.1:{server.port}"


def signed(
    server,
    method,
    path,
    body=b"",
    query="",
    headers=None,
    key="test",
    secret="test",
    at=None,
    host=None,
    signed_path=None,
    region="us-east-1",
):
    """Headers for a request to `path` (as on the wire), signed at `at` (default: now).

    `signed_path` is the canonical path, if it shall differ from the right one, which encodes
    each byte of the wire path once more. `query` must be in canonical order already.
    """
    at = at or datetime.now(timezone.utc)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    headers = {"Host": host or host_of(server), "X-Amz-Date": stamp, **(headers or {})}
    names = sorted(name.lower() for name in headers)
    lowered = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    canonical = "\n".join(
        [
            method,
            signed_path or quote(path, safe="/" + UNRESERVED),
            query,
            *(f"{name}:{lowered[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/lambda/aws4_request"
    signature = _signature(secret, day, region, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{_hash(canonical)}")
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return headers


def presigned(server, method, path, body=b"", at=None, expires=300, region="us-east-1"):
    """The query string that makes `path` callable without any header but Host."""
    at = at or datetime.now(timezone.utc)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    scope = f"{day}/{region}/lambda/aws4_request"
    parameters = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"test/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={quote(value, safe=UNRESERVED)}" for name, value in sorted(parameters.items()))
    canonical = "\n".join(
        [method, quote(path, safe="/" + UNRESERVED), query, f"host:{host_of(server)}", "", "host", _hash(body)]
    )
    signature = _signature("test", day, region, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{_hash(canonical)}")
    return f"{query}&X-Amz-Signature={signature}"


def _hash(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def _signature(secret, day, region, string_to_sign):
    key = f"AWS4{secret}".encode()
    for part in (day, region, "lambda", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, string_to_sign.encode(), hashlib.sha256).hexdigest()
