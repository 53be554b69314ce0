"""Proves that tasks of flows call functions of Function Compute, and what their failures come to.

Real code in Python and Node; scripted replies; functions that raise, that return what is no
object, or that are not there; each error by the name that `retry` and `catch` go by.
"""

import json

import flows
import pytest
from fnf import Tea, detail, types

CONTEXT = """
import json, logging

def handler(event, context):
    logging.getLogger().info("called")
    return {
        "bytes": isinstance(event, bytes),
        "event": json.loads(event),
        "request_id": context.request_id,
        "function": context.function.name,
        "handler": context.function.handler,
        "region": context.region,
        "account": context.account_id,
    }
"""
TEXT = """
def handler(event, context):
    return '{"as": "text"}'
"""
RAISES = """
class CardDeclined(Exception):
    pass

def handler(event, context):
    raise CardDeclined("no funds")
"""
BROKEN = "import a_module_that_is_nowhere\n\ndef handler(event, context):\n    return {}\n"
EXITS = "import os\n\ndef handler(event, context):\n    os._exit(3)\n"
LIST = "def handler(event, context):\n    return [1, 2]\n"
NODE = {
    "index.js": """
exports.handler = async (event, context) => {
  const { fail, ...rest } = JSON.parse(event.toString());
  if (fail) {
    class OutOfTea extends Error {}
    const problem = new OutOfTea(fail);
    problem.name = "OutOfTea";
    throw problem;
  }
  return { buffer: Buffer.isBuffer(event), rest, request: typeof context.requestId, name: context.function.name };
};
"""
}
NODE_CALLBACK = {
    "index.js": """
exports.handler = (event, context, callback) => {
  callback(null, JSON.stringify({ by: "callback", got: JSON.parse(event) }));
};
"""
}
FUNCTIONS = {
    "context": CONTEXT,
    "text": TEXT,
    "raises": RAISES,
    "broken": BROKEN,
    "exits": EXITS,
    "list": LIST,
    "node": NODE,
    "node-callback": NODE_CALLBACK,
    "scripted": [
        {"result": {"first": True}},
        {"error": {"errorType": "Hiccup", "errorMessage": "again"}},
        {"result": {}},
    ],
    "busy": [{"status": 429, "message": "too many"}],
    "throttled": [{"status": 503, "code": "ResourceThrottled", "message": "slow down"}],
    "internal": [{"status": 500, "message": "oh"}],
    "forbidden": [{"status": 403, "code": "AccessDenied", "message": "no"}],
    "nameless": [{"error": {"errorMessage": "exited"}}],
}


@pytest.fixture(scope="module")
def cloud(server):
    return Tea(server)


def call(cloud, name, function, payload=None, **members):
    """Runs a flow with one task; returns (flow, execution)."""
    cloud.create(name, flows.HEAD + flows.task("call", function, **members))
    return name, cloud.start(name, payload or {})


def failure(cloud, where):
    """The error and cause of an execution that must fail."""
    assert cloud.ended(*where)["Status"] == "Failed"
    return detail(cloud.history(*where)[-1])


def test_python(cloud, name):
    output = cloud.output(*call(cloud, name, "context", {"a": [1, "ü", None]}))
    assert output["event"] == {"a": [1, "ü", None]}
    assert output["bytes"]
    assert output["request_id"]
    assert (output["function"], output["handler"]) == ("context", "index.handler")
    assert (output["region"], output["account"]) == ("cn-hangzhou", "000000000000")


def test_a_text_of_json(cloud, name):
    assert cloud.output(*call(cloud, name, "text")) == {"as": "text"}


def test_node(cloud, name):
    output = cloud.output(*call(cloud, name, "node", {"b": 2}))
    assert output == {"buffer": True, "rest": {"b": 2}, "request": "string", "name": "node"}


def test_node_with_a_callback(cloud, name):
    assert cloud.output(*call(cloud, name, "node-callback", {"b": 2})) == {"by": "callback", "got": {"b": 2}}


@pytest.mark.parametrize(
    "arn",
    [
        "acs:fc:::services/local/functions/echo",
        "acs:fc:::services/local.LATEST/functions/echo",
        "acs:fc:cn-hangzhou:000000000000:services/local/functions/echo",
        "acs:fc:::functions/echo",
        "acs:fc:::functions/echo/LATEST",
    ],
)
def test_arns(cloud, name, arn):
    assert cloud.output(*call(cloud, name, "echo", {"a": 1}, resourceArn=arn)) == {"a": 1}


@pytest.mark.parametrize(
    ("function", "error", "cause"),
    [
        ("raises", "CardDeclined", "no funds"),
        ("list", "FnF.InvalidLocal", None),
        ("nowhere", "FC.FunctionNotFound", None),
        ("broken", "ImportModuleError", "Unable to import module 'index'"),
        ("exits", "FC.Unknown", None),
        ("busy", "FC.ResourceExhausted", "too many"),
        ("throttled", "FC.ResourceThrottled", "slow down"),
        ("internal", "FC.InternalServerError", "oh"),
        ("forbidden", "FC.AccessDenied", "no"),
        ("nameless", "FC.Unknown", "exited"),
    ],
)
def test_errors(cloud, name, function, error, cause):
    where = call(cloud, name, function)
    told = failure(cloud, where)
    assert told["error"] == error
    assert told["cause"] == cause or cause is None
    events = cloud.history(*where)
    assert types(events)[-4:] == ["TaskStarted", "TaskFailed", "StepFailed", "ExecutionFailed"]
    assert detail(events[-3]) == told


def test_a_node_function_that_throws(cloud, name):
    where = call(cloud, name, "node", {"fail": "empty"})
    told = failure(cloud, where)
    assert (told["error"], told["cause"]) == ("OutOfTea", "empty")


def test_a_service_of_that_name(cloud, name):
    """FC 2 ARNs of a service that nobody declared."""
    arn = "acs:fc:::services/nowhere/functions/nothing"
    told = failure(cloud, call(cloud, name, "echo", resourceArn=arn))
    assert told["error"] in ("FC.ServiceNotFound", "FC.FunctionNotFound")


def test_caught(cloud, name):
    """The declined card of the documentation, with a real function."""
    pay = flows.task(
        "pay",
        "raises",
        errorMappings=flows.mappings(code="$local.error", why="$local.cause"),
        catch=[{"errors": ["CardDeclined"], "goto": "refund"}],
    )
    paid = "  - {type: succeed, name: paid}\n"
    refund = "  - " + json.dumps(
        {"type": "pass", "name": "refund", "outputMappings": flows.mappings(refunded="$input.code")}
    )
    cloud.create(name, flows.HEAD + pay + paid + refund)
    output = cloud.output(name, cloud.start(name, {"amount": 9}))
    assert output == {"code": "CardDeclined", "why": "no funds", "refunded": "CardDeclined"}


def test_scripted_replies(server, cloud, name):
    """One after the other, over executions; the last one again and again; retried by name."""
    retry = [{"errors": ["Hiccup"], "intervalSeconds": 30, "maxAttempts": 1}]
    cloud.create(name, flows.HEAD + flows.task("call", "scripted", retry=retry))
    assert cloud.output(name, cloud.start(name)) == {"first": True}
    second = cloud.start(name)
    cloud.event(name, second, "TaskFailed")
    server.advance("30s")
    assert cloud.output(name, second) == {}
    assert types(cloud.history(name, second)).count("TaskScheduled") == 2
    assert cloud.output(name, cloud.start(name)) == {}


def test_a_timeout(cloud, name, tmp_path):
    """In real time: to turn the clock is to wait for running functions."""
    payload = {"log": str(tmp_path / "log"), "word": "slow"}
    where = call(cloud, name, "slow", payload, timeoutSeconds=1)
    assert failure(cloud, where)["error"] == "FnF.TaskTimeout"
    events = cloud.history(*where)
    assert types(events)[-3:] == ["TaskTimedOut", "StepFailed", "ExecutionFailed"]
    (tmp_path / "log.go").touch()


def test_reported_before_the_function_answers(server, cloud, name, tmp_path):
    """A worker may be quicker than the function that told it."""
    inputs = {"log": "$input.log", "word": "slow", "token": "$context.task.token"}
    definition = flows.HEAD + flows.task("ask", "slow", "waitForCallback", inputs)
    cloud.create(name, definition)
    execution = cloud.start(name, {"log": str(tmp_path / "log")})
    cloud.event(name, execution, "TaskStarted")
    token = detail(cloud.event(name, execution, "TaskScheduled"))["input"]["token"]
    cloud.succeed(token, {"quick": True})
    (tmp_path / "log.go").touch()
    assert cloud.output(name, execution) == {"quick": True}
