"""Proves that requests which the cloud would refuse are refused, with its words, and do nothing.

The wrong key, the wrong secret, the wrong date, the wrong body, the wrong path; and what only a
local server must fear: a page in a browser, and a name that was rebound to this machine.
"""

import base64
import json
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from harness import ROLE, zipped
from signing import presigned, send, signed

FUNCTIONS = "/2015-03-31/functions"
HANDLER = "def handler(event, context):\n    return event\n"


def creation(name):
    return json.dumps(
        {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Handler": "handler.handler",
            "Role": ROLE,
            "Code": {"ZipFile": base64.b64encode(zipped(HANDLER)).decode()},
        }
    ).encode()


def assert_nothing_happened(server, name):
    found = [function["FunctionName"] for function in server.aws.list_functions()["Functions"]]
    assert name not in found


def test_a_request_signed_by_hand_is_accepted(server, name):
    body = creation(name)
    answer = send(server, "POST", FUNCTIONS, signed(server, "POST", FUNCTIONS, body), body)
    assert answer.status == 201, answer
    assert answer.json["FunctionName"] == name
    assert answer.headers["x-amzn-requestid"]


def test_no_signature(server, name):
    answer = send(server, "POST", FUNCTIONS, body=creation(name))
    assert (answer.status, answer.code) == (403, "MissingAuthenticationTokenException")
    assert answer.message == "Missing Authentication Token"
    assert_nothing_happened(server, name)


def test_wrong_secret_shows_what_the_server_signed(server, name):
    body = creation(name)
    answer = send(server, "POST", FUNCTIONS, signed(server, "POST", FUNCTIONS, body, secret="wrong"), body)
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")
    assert answer.message.startswith("The request signature we calculated does not match the signature you provided.")
    assert "The Canonical String for this request should have been\n'POST\n/2015-03-31/functions\n" in answer.message
    assert "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n" in answer.message
    assert_nothing_happened(server, name)


def test_unknown_key(server, name):
    body = creation(name)
    answer = send(server, "POST", FUNCTIONS, signed(server, "POST", FUNCTIONS, body, key="AKIAUNKNOWN"), body)
    assert (answer.status, answer.code) == (403, "UnrecognizedClientException")
    assert answer.message == "The security token included in the request is invalid."
    assert_nothing_happened(server, name)


def test_a_number_as_key_is_an_account_of_its_own(server, name):
    """A 12-digit key id with the secret `test` selects that account."""
    other = server.client(key="111122223333")
    created = other.create_function(
        FunctionName=name, Role=ROLE, Runtime="python3.13", Handler="handler.handler", Code={"ZipFile": zipped(HANDLER)}
    )
    assert created["FunctionArn"] == f"arn:aws:lambda:us-east-1:111122223333:function:{name}"
    assert_nothing_happened(server, name)


def test_token_with_a_key_that_has_none(server, name):
    body = creation(name)
    headers = signed(server, "POST", FUNCTIONS, body, headers={"X-Amz-Security-Token": "made-up"})
    answer = send(server, "POST", FUNCTIONS, headers, body)
    assert (answer.status, answer.code) == (403, "UnrecognizedClientException")
    assert_nothing_happened(server, name)


@pytest.mark.parametrize(
    "minutes, text", [(-6, "Signature expired: "), (6, "Signature not yet current: ")], ids=["behind", "ahead"]
)
def test_f24_clock_six_minutes_off(server, name, minutes, text):
    body = creation(name)
    at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    answer = send(server, "POST", FUNCTIONS, signed(server, "POST", FUNCTIONS, body, at=at), body)
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")
    assert answer.message.startswith(text + at.strftime("%Y%m%dT%H%M%SZ"))
    # Clients put their clock right by this header.
    assert abs(parsedate_to_datetime(answer.headers["date"]) - datetime.now(timezone.utc)) < timedelta(seconds=5)
    assert_nothing_happened(server, name)


def test_the_dates_of_signatures_follow_the_wall_clock(fresh_server, name):
    """Advancing the virtual clock must not make today's signatures look old."""
    fresh_server.advance("30d")
    body = creation(name)
    answer = send(fresh_server, "POST", FUNCTIONS, signed(fresh_server, "POST", FUNCTIONS, body), body)
    assert answer.status == 201
    assert abs(parsedate_to_datetime(answer.headers["date"]) - datetime.now(timezone.utc)) < timedelta(seconds=5)


def test_changed_body(server, name):
    body = creation(name)
    headers = signed(server, "POST", FUNCTIONS, body.replace(b"python3.13", b"python3.12"))
    answer = send(server, "POST", FUNCTIONS, headers, body)
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")
    assert_nothing_happened(server, name)


def test_changed_query(server):
    headers = signed(server, "GET", FUNCTIONS, query="MaxItems=1")
    answer = send(server, "GET", f"{FUNCTIONS}?MaxItems=2", headers)
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")


def test_f20_an_arn_in_the_path_is_encoded_twice(server, name):
    arn = server.deploy(name, HANDLER, durable=False)
    wire = f"{FUNCTIONS}/{arn.replace(':', '%3A')}"
    assert send(server, "GET", wire, signed(server, "GET", wire)).status == 200
    answer = send(server, "GET", wire, signed(server, "GET", wire, signed_path=wire))
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")
    assert "%253A" in answer.message, "the error shows the server's canonical string"


def test_f21_a_trailing_slash_counts(server):
    with_slash, without = FUNCTIONS + "/", FUNCTIONS
    for sent, meant in ((with_slash, without), (without, with_slash)):
        answer = send(server, "GET", sent, signed(server, "GET", meant))
        assert (answer.status, answer.code) == (403, "InvalidSignatureException"), sent
    assert send(server, "GET", with_slash, signed(server, "GET", with_slash)).code != "InvalidSignatureException"


def test_f22_white_space_in_signed_headers_is_collapsed(server):
    headers = signed(server, "GET", FUNCTIONS, headers={"X-Amz-Meta": '  a   b  "c   d"  '})
    assert send(server, "GET", FUNCTIONS, headers).status == 200


@pytest.mark.parametrize("host", ["localhost:{port}", "[::1]:{port}", "127.0.0.1:{port}", "localhost"])
def test_f23_loopback_names_with_and_without_port(server, host):
    host = host.format(port=server.port)
    assert send(server, "GET", FUNCTIONS, signed(server, "GET", FUNCTIONS, host=host)).status == 200


def test_f23_the_port_is_part_of_the_signed_host(server):
    headers = signed(server, "GET", FUNCTIONS, host="127.0.0.1")
    headers["Host"] = f"127.0.0.1:{server.port}"
    answer = send(server, "GET", FUNCTIONS, headers)
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")


def test_f23_a_forwarded_host_is_not_trusted(server):
    headers = signed(server, "GET", FUNCTIONS, host="localhost")
    headers["Host"] = f"127.0.0.1:{server.port}"
    headers["X-Forwarded-Host"] = "localhost"
    assert send(server, "GET", FUNCTIONS, headers).status == 403


@pytest.mark.parametrize("path", [FUNCTIONS, "/_durastack/clock", "/_localstack/health"])
def test_a_foreign_host_is_refused_before_all_else(server, path):
    """DNS rebinding: a page's own name now leads to this machine."""
    answer = send(server, "GET", path, signed(server, "GET", path, host=f"evil.example:{server.port}"))
    assert answer.status == 403
    assert answer.code != "InvalidSignatureException"


def test_a_page_cannot_use_the_public_keys(server, name):
    """A presigned URL needs no header that a browser would ask leave for."""
    body = creation(name)
    target = f"{FUNCTIONS}?{presigned(server, 'POST', FUNCTIONS, body)}"
    for header, value in (
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ):
        answer = send(server, "POST", target, {header: value, "Content-Type": "text/plain"}, body)
        assert answer.status == 403, (header, value)
    assert_nothing_happened(server, name)
    assert send(server, "POST", target, {}, body).status == 201, "the same request without a page behind it"


def test_a_page_cannot_turn_the_clock(server):
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    answer = send(server, "POST", "/_durastack/clock/advance", headers, b'{"by":"1d"}')
    assert answer.status == 403


def test_a_preflight_gives_no_leave(server):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = send(server, "OPTIONS", FUNCTIONS, headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


def test_what_is_not_built_says_so(server):
    """501 with the operation's name, after authentication; the unsigned call is 403."""
    path = "/2015-03-31/event-source-mappings"
    assert send(server, "GET", path).status == 403
    answer = send(server, "GET", path, signed(server, "GET", path))
    assert answer.status == 501
    assert "ListEventSourceMappings" in answer.body.decode()


def test_who_am_i(server):
    """Half of all tutorials call it first."""
    identity = server.client("sts").get_caller_identity()
    assert identity["Account"] == "000000000000"
