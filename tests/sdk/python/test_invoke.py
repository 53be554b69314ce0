"""Proves that plain functions run as on Lambda, and that nothing they do harms the server.

Each unpleasant handler is followed by a good one. The last part is the newcomer's way:
a package without the durable SDK, which comes from the environment around it, or is missed.
"""

import base64
import http.client
import io
import json
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import ORDER, REGION, ROLE, SAMPLES, Server, absent, error_of, processes_with, wait_for
from signing import send, signed

KINDS = """
import os, signal, subprocess, sys, time

def handler(event, context):
    return globals()[event["do"]](event, context)

def echo(event, context):
    return event

def tell(event, context):
    return {
        "request": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(),
        "region": os.environ["AWS_REGION"],
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
        "home": os.environ.get("AWS_PROFILE"),
        "colour": os.environ.get("COLOUR"),
        "client": context.client_context.custom if context.client_context else None,
    }

def fail(event, context):
    raise ValueError("no good")

def quit(event, context):
    print("about to go", flush=True)
    os._exit(event["status"])

def kill(event, context):
    os.kill(os.getpid(), signal.SIGKILL)

def chatter(event, context):
    for number in range(event["lines"]):
        print("x" * 100, number)
    return "said"

def babble(event, context):
    while True:
        print("blah " * 200)

def sleep(event, context):
    time.sleep(event["seconds"])
    return "slept"

def stubborn(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", grandchild])
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass

def large(event, context):
    return "x" * event["bytes"]

def strange(event, context):
    return {1, 2}

def sdk(event, context):
    import boto3
    return boto3.client("lambda").get_function(FunctionName=context.function_name)["Configuration"]["FunctionName"]
"""

NODE = """
export const handler = async (event, context) => {
  return { event, name: context.functionName, left: context.getRemainingTimeInMillis() > 0 };
};
export const fails = async () => { throw new TypeError("no good"); };
"""


@pytest.fixture(scope="module")
def kinds(server):
    """The function with a handler for each kind of behaviour; times out after 2 s."""
    return server.deploy("kinds", KINDS, durable=False, Timeout=2, env={"COLOUR": "blue"})


def call(aws, event, function="kinds", **more):
    """(function error or None, parsed payload, whole answer)"""
    answer = aws.invoke(FunctionName=function, Payload=json.dumps(event).encode(), **more)
    text = answer["Payload"].read()
    return answer.get("FunctionError"), json.loads(text), answer


def assert_still_serving(aws):
    assert call(aws, {"do": "echo", "still": "here"})[1] == {"do": "echo", "still": "here"}


def test_synchronous(aws, kinds):
    error, payload, answer = call(aws, {"do": "echo", "text": "grüße", "number": 1.5, "none": None})
    assert error is None
    assert payload == {"do": "echo", "text": "grüße", "number": 1.5, "none": None}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "DurableExecutionArn" not in answer
    assert "LogResult" not in answer


def test_without_a_payload_the_event_is_an_empty_object(server, aws, name):
    server.deploy(name, "def handler(event, context):\n    return repr(event)\n", durable=False)
    assert json.loads(aws.invoke(FunctionName=name)["Payload"].read()) == "{}"


def test_context_and_environment(server, aws, kinds):
    context = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    _, told, answer = call(aws, {"do": "tell"}, ClientContext=context)
    assert told["request"] == answer["ResponseMetadata"]["RequestId"]
    assert told["arn"] == f"arn:aws:lambda:{REGION}:000000000000:function:kinds"
    assert (told["version"], told["name"], told["memory"]) == ("$LATEST", "kinds", "128")
    assert 0 < told["left"] <= 2000
    assert told["region"] == REGION
    assert told["endpoint"].rstrip("/").endswith(f":{server.port}")
    assert told["home"] is None
    assert told["colour"] == "blue"
    assert told["client"] == {"a": "b"}


def test_the_sdk_inside_a_function_reaches_this_server(aws, kinds):
    assert call(aws, {"do": "sdk"})[1] == "kinds"


def test_event(server, aws, name, tmp_path):
    """202 and no body at once; the function runs."""
    source = "import json\ndef handler(event, context):\n    open(event['file'], 'w').write(json.dumps(event))\n"
    server.deploy(name, source, durable=False)
    event = {"file": str(tmp_path / "ran")}
    answer = aws.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode())
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    wait_for((tmp_path / "ran").exists, "the function to run")


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def invoke_failing_event(server, function, file):
    """Invokes as an event what writes a line and fails; returns when the first attempt is over."""
    source = """
def handler(event, context):
    with open(event["file"], "a") as file:
        print(context.aws_request_id, file=file)
    raise ValueError("no good")
"""
    server.deploy(function, source, durable=False)
    server.aws.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps({"file": str(file)}))
    server.advance("0s")
    assert len(lines_of(file)) == 1


def test_retries_of_an_event_come_with_the_clock(fresh_server, name, tmp_path):
    """Three attempts, the pauses are one and two minutes; `advance` returns when what is due has run."""
    file = tmp_path / "ran"
    invoke_failing_event(fresh_server, name, file)
    waiting = fresh_server.admin("GET", "clock")[1]["next"]
    assert (waiting["execution"], waiting["purpose"]) == (None, f"event invoke of '{name}', attempt 2 of 3")
    third = f"event invoke of '{name}', attempt 3 of 3"
    for by, count, then in (("61s", 2, third), ("121s", 3, None), ("1d", 3, None)):
        fresh_server.advance(by)
        assert len(lines_of(file)) == count
        waiting = fresh_server.admin("GET", "clock")[1]["next"]
        assert (waiting and waiting["purpose"]) == then
    assert len(set(lines_of(file))) == 1, "all attempts have the request id of the invoke"


def test_one_turn_of_the_clock_holds_all_retries_of_an_event(fresh_server, name, tmp_path):
    file = tmp_path / "ran"
    invoke_failing_event(fresh_server, name, file)
    fresh_server.advance("10m")
    assert len(lines_of(file)) == 3


def test_a_restart_keeps_the_retries_of_an_event(fresh_server, name, tmp_path):
    file = tmp_path / "ran"
    invoke_failing_event(fresh_server, name, file)
    before = fresh_server.admin("GET", "clock")[1]["next"]
    fresh_server.restart()
    assert fresh_server.admin("GET", "clock")[1]["next"] == before
    fresh_server.advance("10m")
    assert len(lines_of(file)) == 3


def test_dry_run(server, aws, name, tmp_path):
    server.deploy(name, f"open({str(tmp_path / 'ran')!r}, 'w')\ndef handler(e, c): pass\n", durable=False)
    answer = aws.invoke(FunctionName=name, InvocationType="DryRun")
    assert (answer["StatusCode"], answer["Payload"].read()) == (204, b"")
    assert not (tmp_path / "ran").exists()
    assert error_of(aws.invoke, FunctionName="nobody", InvocationType="DryRun")[0] == 404


def test_warm_reuse(server, aws, name):
    server.deploy(name, "import os\ndef handler(event, context):\n    return os.getpid()\n", durable=False)
    pids = {call(aws, {}, function=name)[1] for _ in range(5)}
    assert len(pids) == 1


def test_f3_a_payload_that_is_not_json(server, aws, kinds):
    """What AWS CLI v2 sends when a payload was not meant as base64."""
    for body in (b"\x8a\xb5\xe9\xff\xfe", b"{not json"):
        status, code, message = error_of(aws.invoke, FunctionName="kinds", Payload=body)
        assert (status, code) == (400, "InvalidRequestContentException")
        assert message.startswith("Could not parse request body into json")
    assert_still_serving(aws)


def test_f4_log_tail(aws, kinds):
    _, said, without = call(aws, {"do": "chatter", "lines": 200})
    assert said == "said" and "LogResult" not in without
    _, _, answer = call(aws, {"do": "chatter", "lines": 200}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"])
    assert len(tail) == 4096, "the last 4 KiB"
    request = answer["ResponseMetadata"]["RequestId"]
    lines = tail.decode().rstrip("\n").split("\n")
    assert lines[-1].startswith(f"REPORT RequestId: {request}\tDuration: ")
    assert f"END RequestId: {request}" in lines
    assert "x" * 100 + " 199" in lines


def test_short_log_is_whole(aws, kinds):
    _, _, answer = call(aws, {"do": "echo"}, LogType="Tail")
    text = base64.b64decode(answer["LogResult"]).decode()
    assert f"START RequestId: {answer['ResponseMetadata']['RequestId']} Version: $LATEST\n" in text


# Handlers that misbehave


def test_raises(aws, kinds):
    error, document, answer = call(aws, {"do": "fail"})
    assert (error, answer["StatusCode"]) == ("Unhandled", 200)
    assert (document["errorType"], document["errorMessage"]) == ("ValueError", "no good")
    assert any("fail" in line for line in document["stackTrace"])
    assert_still_serving(aws)


@pytest.mark.parametrize(
    "handler, error_type, text",
    [
        ("handler.nothing", "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'handler'"),
        (
            "nowhere.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'nowhere': No module named 'nowhere'",
        ),
        ("handler", "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
    ],
)
def test_handler_that_does_not_exist(server, aws, kinds, name, handler, error_type, text):
    server.deploy(name, KINDS, handler=handler, durable=False)
    error, document, _ = call(aws, {}, function=name)
    assert (error, document["errorType"]) == ("Unhandled", error_type)
    assert text in document["errorMessage"]
    assert_still_serving(aws)


def test_syntax_error(server, aws, kinds, name):
    server.deploy(name, "def handler(event, context:\n", durable=False)
    error, document, _ = call(aws, {}, function=name)
    assert (error, document["errorType"]) == ("Unhandled", "Runtime.UserCodeSyntaxError")
    assert_still_serving(aws)


@pytest.mark.parametrize(
    "event, words",
    [
        ({"do": "quit", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "quit", "status": 0}, "Runtime exited without providing a reason"),
        ({"do": "kill"}, "Runtime exited with error: signal: killed"),
    ],
    ids=["status-3", "status-0", "signal"],
)
def test_exits_in_the_middle(aws, kinds, event, words):
    error, document, answer = call(aws, event)
    request = answer["ResponseMetadata"]["RequestId"]
    assert error == "Unhandled"
    assert document == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request} Error: {words}"}
    assert_still_serving(aws)


def test_prints_without_end(aws, kinds):
    error, document, answer = call(aws, {"do": "babble"}, LogType="Tail")
    assert (error, document["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert len(base64.b64decode(answer["LogResult"])) <= 4096
    assert_still_serving(aws)


def test_times_out_and_ignores_sigterm(server, aws, kinds, name):
    marker = f"stubborn-{time.time_ns()}"
    server.deploy(name, KINDS, durable=False, Timeout=2, env={"MARKER": marker})
    begin = time.monotonic()
    error, document, answer = call(aws, {"do": "stubborn"}, function=name)
    took = time.monotonic() - begin
    request = answer["ResponseMetadata"]["RequestId"]
    assert error == "Unhandled"
    assert document == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request} Error: Task timed out after 2.00 seconds",
    }
    assert 2 <= took < 6, took
    wait_for(lambda: not processes_with(marker), "the whole process group to be gone", seconds=5)
    assert_still_serving(aws)


def test_result_that_is_no_json(aws, kinds):
    error, document, _ = call(aws, {"do": "strange"})
    assert (error, document["errorType"]) == ("Unhandled", "Runtime.MarshalError")
    assert_still_serving(aws)


def test_result_at_and_over_the_limit(aws, kinds):
    limit = 6 * 1024 * 1024 + 100
    error, payload, _ = call(aws, {"do": "large", "bytes": limit - 2})  # two quotation marks
    assert error is None and len(payload) == limit - 2
    error, document, answer = call(aws, {"do": "large", "bytes": limit - 1})
    assert (error, answer["StatusCode"]) == ("Unhandled", 200)
    assert document["errorType"] == "Function.ResponseSizeTooLarge"
    assert document["errorMessage"] == "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    assert_still_serving(aws)


def test_payload_over_the_limit(server, aws, kinds):
    largest = json.dumps({"do": "echo", "x": ""}).encode()
    padding = 6 * 1024 * 1024 - len(largest)
    body = json.dumps({"do": "echo", "x": "y" * padding}).encode()
    assert len(body) == 6291456
    assert "FunctionError" not in aws.invoke(FunctionName="kinds", Payload=body)
    status, code, message = error_of(aws.invoke, FunctionName="kinds", Payload=body + b" ")
    assert (status, code) == (413, "RequestTooLargeException")
    assert message == (
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
    )
    status, code, message = error_of(
        aws.invoke, FunctionName="kinds", InvocationType="Event", Payload=json.dumps("z" * 1048576).encode()
    )
    assert (status, code) == (413, "RequestTooLargeException")
    assert "too large for the Event invocation type" in message
    assert_still_serving(aws)


def test_a_caller_that_hangs_up(server, aws, kinds):
    """The connection goes in the middle of an invoke; the next caller is served."""
    path, body = "/2015-03-31/functions/kinds/invocations", b'{"do": "sleep", "seconds": 1}'
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", path, body, signed(server, "POST", path, body))
        connection.close()
    assert_still_serving(aws)


def test_half_a_request(server, aws, kinds):
    """A body shorter than announced ends in a closed connection or an error, and no more."""
    path = "/2015-03-31/functions/kinds/invocations"
    headers = {**signed(server, "POST", path, b"{}"), "Content-Length": "1000"}
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        lines = [f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", "{}"]
        raw.sendall("\r\n".join(lines).encode())
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(10)
        assert not raw.recv(65536).startswith(b"HTTP/1.1 2")
    assert_still_serving(aws)


def test_unknown_invocation_type(server, kinds):
    path = "/2015-03-31/functions/kinds/invocations"
    headers = signed(server, "POST", path, b"{}", headers={"X-Amz-Invocation-Type": "Sometimes"})
    answer = send(server, "POST", path, headers, b"{}")
    assert (answer.status, answer.code) == (400, "ValidationException")


def test_many_at_once(aws, kinds):
    """More callers than processes: the rest queue, all are answered."""
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda number: call(aws, {"do": "echo", "number": number})[1], range(40)))
    assert [answer["number"] for answer in answers] == list(range(40))


# Node


@pytest.fixture(scope="module")
def needs_node():
    if shutil.which("node") is None:
        absent("node is not on the PATH")


def test_node(server, aws, name, needs_node):
    server.deploy(name, {"index.mjs": NODE}, runtime="nodejs22.x", handler="index.handler", durable=False)
    error, payload, _ = call(aws, {"a": [1, "ü"]}, function=name)
    assert error is None
    assert payload == {"event": {"a": [1, "ü"]}, "name": name, "left": True}


def test_node_raises(server, aws, name, needs_node):
    server.deploy(name, {"index.mjs": NODE}, runtime="nodejs22.x", handler="index.fails", durable=False)
    error, document, _ = call(aws, {}, function=name)
    assert (error, document["errorType"], document["errorMessage"]) == ("Unhandled", "TypeError", "no good")
    assert document["trace"][0] == "TypeError: no good"


def test_node_handler_that_does_not_exist(server, aws, name, needs_node):
    server.deploy(name, {"index.mjs": NODE}, runtime="nodejs22.x", handler="index.nothing", durable=False)
    error, document, _ = call(aws, {}, function=name)
    assert (error, document["errorType"]) == ("Unhandled", "Runtime.HandlerNotFound")
    assert document["errorMessage"] == "index.nothing is undefined or not exported"


# The newcomer: the durable SDK is not in the package


def test_the_sdk_comes_from_the_environment(server, language):
    """handler.py and index.mjs zipped alone; the SDK is in the virtual environment, or in node_modules
    of the folder that durastack was started in."""
    function = server.deploy_order(language, name=f"newcomer-{language}")
    arn = server.start_execution(function, ORDER)
    assert server.drive(arn)[-1]["EventType"] == "ExecutionSucceeded"


@pytest.fixture
def bare_server(tmp_path):
    """A durastack started where no SDK is to be found."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (tmp_path / "empty").mkdir()
    server = Server(tmp_path, cwd=tmp_path / "empty", environment={"VIRTUAL_ENV": str(venv)})
    yield server
    server.stop()


def test_without_the_sdk_the_error_says_what_to_install(bare_server):
    # A plain invoke of the same code shows the text without the durable engine's retries.
    bare_server.deploy("lost-python", SAMPLES / "order-python", durable=False)
    _, document, _ = call(bare_server.aws, ORDER, function="lost-python")
    assert document["errorType"] == "Runtime.ImportModuleError"
    assert "pip install aws-durable-execution-sdk-python" in document["errorMessage"]


def test_without_the_sdk_the_error_says_what_to_install_node(bare_server, needs_node):
    bare_server.deploy(
        "lost-node", SAMPLES / "order-node", runtime="nodejs22.x", handler="index.handler", durable=False
    )
    _, document, _ = call(bare_server.aws, ORDER, function="lost-node")
    assert "npm install @aws/durable-execution-sdk-js" in document["errorMessage"]


def test_provided(server, aws, name):
    """A custom runtime is any program that speaks the Runtime API."""
    bootstrap = """#!/usr/bin/env python3
import os, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as work:
        request_id, event = work.headers["Lambda-Runtime-Aws-Request-Id"], work.read()
    answer = b'{"got": ' + event + b', "handler": "' + os.environ["_HANDLER"].encode() + b'"}'
    urllib.request.urlopen(urllib.request.Request(api + request_id + "/response", data=answer)).close()
"""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, bootstrap)
    aws.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="free-text",
        Role=ROLE,
        Code={"ZipFile": package.getvalue()},
    )
    aws.get_waiter("function_active_v2").wait(FunctionName=name)
    for event in ("1", "[2]"):
        answer = aws.invoke(FunctionName=name, Payload=event)
        assert json.loads(answer["Payload"].read()) == {"got": json.loads(event), "handler": "free-text"}
