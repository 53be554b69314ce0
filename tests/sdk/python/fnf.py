"""Alibaba Cloud's Serverless Workflow (fnf) as its clients see it, behind one small face.

`Tea` and `Core` are the two official SDKs for Python, unmodified, with only endpoint and keys
set; `ByHand` signs requests itself, by GET or POST, so that a test can be wrong in exactly
one place. All take the API's own parameter names, and give the API's own members.
"""

import base64
import hashlib
import hmac
import importlib
import json
import re
import uuid
from datetime import datetime, timezone
from urllib.parse import quote, urlencode

from alibabacloud_fnf20190315 import models
from alibabacloud_fnf20190315.client import Client
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config
from aliyunsdkcore.acs_exception.exceptions import ServerException as CoreException
from aliyunsdkcore.client import AcsClient
from darabonba.runtime import RuntimeOptions
from harness import PATIENCE_SECONDS, wait_for
from signing import send

REGION = "cn-hangzhou"
VERSION = "2019-03-15"
OPERATIONS = (
    "CreateFlow",
    "UpdateFlow",
    "DescribeFlow",
    "DeleteFlow",
    "ListFlows",
    "StartExecution",
    "StopExecution",
    "DescribeExecution",
    "ListExecutions",
    "GetExecutionHistory",
    "ReportTaskSucceeded",
    "ReportTaskFailed",
)
NOT_BUILT = (
    "StartSyncExecution",
    "CreateSchedule",
    "UpdateSchedule",
    "DeleteSchedule",
    "DescribeSchedule",
    "ListSchedules",
    "PublishFlowVersion",
    "ListFlowVersions",
    "DeleteFlowVersion",
    "CreateFlowAlias",
    "UpdateFlowAlias",
    "DescribeFlowAlias",
    "DeleteFlowAlias",
    "ListFlowAliases",
    "DescribeMapRun",
    "UpdateMapRun",
    "DescribeRegions",
)
ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionStopped", "ExecutionTimedOut")
FINAL = ("Succeeded", "Failed", "Stopped", "TimedOut")


class Refused(Exception):
    """A refusal, whichever client it came through; `cause` is that client's own exception."""

    def __init__(self, status, code, message, cause=None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.cause = status, code, message, cause


class Flows:
    """What tests do with flows, in terms of one method: `call(action, **parameters)` gives the answer's members."""

    def call(self, action, **parameters):
        raise NotImplementedError

    def refused(self, action, **parameters):
        """Makes a call that must be refused; returns (status, code, message)."""
        try:
            answer = self.call(action, **parameters)
        except Refused as refusal:
            return refusal.status, refusal.code, refusal.message
        raise AssertionError(f"not refused: {answer}")

    def create(self, name, definition, **more):
        parameters = {"Description": "made by a test", "Type": "FDL", **more}
        return self.call("CreateFlow", Name=name, Definition=definition, **parameters)

    def start(self, flow, payload=None, name=None, **more):
        """Starts an execution; returns its name."""
        if payload is not None:
            more["Input"] = json.dumps(payload)
        if name is not None:
            more["ExecutionName"] = name
        return self.call("StartExecution", FlowName=flow, **more)["Name"]

    def stop(self, flow, execution, **more):
        return self.call("StopExecution", FlowName=flow, ExecutionName=execution, **more)

    def execution(self, flow, execution, **more):
        return self.call("DescribeExecution", FlowName=flow, ExecutionName=execution, **more)

    def succeed(self, token, output):
        """Reports a task's success; returns the EventId."""
        return self.call("ReportTaskSucceeded", TaskToken=token, Output=json.dumps(output))["EventId"]

    def fail(self, token, error, **more):
        """Reports a task's failure; returns the EventId."""
        return self.call("ReportTaskFailed", TaskToken=token, Error=error, **more)["EventId"]

    def pages(self, action, member, **parameters):
        """The lists of all pages, one after the other; a token must be text, and is missing on the last page."""
        token = None
        while True:
            answer = self.call(action, **parameters, **({"NextToken": token} if token else {}))
            yield answer[member]
            if "NextToken" not in answer:
                return
            token = answer["NextToken"]
            assert isinstance(token, str) and token

    def history(self, flow, execution, limit=999):
        """All events, over as many pages as there are."""
        where = {"FlowName": flow, "ExecutionName": execution, "Limit": limit}
        return [event for page in self.pages("GetExecutionHistory", "Events", **where) for event in page]

    # Waiting

    def ended(self, flow, execution, seconds=PATIENCE_SECONDS):
        """What DescribeExecution says once the execution has ended."""

        def is_over():
            found = self.execution(flow, execution)
            return found if found["Status"] in FINAL else None

        return wait_for(is_over, f"the end of {flow}/{execution}", seconds)

    def output(self, flow, execution, seconds=PATIENCE_SECONDS):
        """The output of an execution that must succeed."""
        found = self.ended(flow, execution, seconds)
        assert found["Status"] == "Succeeded", self.history(flow, execution)[-3:]
        return json.loads(found["Output"])

    def event(self, flow, execution, event_type, step=None, count=1, seconds=PATIENCE_SECONDS):
        """The `count`-th event of a type (and step), once it is there."""

        def found():
            events = [
                event
                for event in self.history(flow, execution)
                if event["Type"] == event_type and step in (None, event["StepName"])
            ]
            return events[count - 1] if len(events) >= count else None

        return wait_for(found, f"{event_type} {step or ''} number {count} of {flow}/{execution}", seconds)

    def token(self, flow, execution, step=None, count=1, member="token"):
        """The token of a task whose mapped input hands it on as `member`, once the task was submitted."""
        self.event(flow, execution, "TaskSubmitted", step, count)
        scheduled = self.event(flow, execution, "TaskScheduled", step, count)
        return detail(scheduled)["input"][member]


class Tea(Flows):
    """alibabacloud-fnf20190315."""

    def __init__(self, server, key="test", secret="test"):
        self.client = Client(
            Config(
                access_key_id=key,
                access_key_secret=secret,
                region_id=REGION,
                endpoint=f"127.0.0.1:{server.port}",
                protocol="http",
            )
        )

    def call(self, action, **parameters):
        request = getattr(models, f"{action}Request")().from_map(parameters)
        method = getattr(self.client, f"{_snake(action)}_with_options")
        try:
            answer = method(request, RuntimeOptions(read_timeout=70_000))
        except AlibabaCloudException as problem:
            # It wraps what the server said: "code: 404, Flow 'x' does not exist. request id: 12AB".
            message = re.sub(r"^code: \d+, (.*) request id: \S+$", r"\1", problem.message, flags=re.DOTALL)
            raise Refused(problem.status_code, problem.code, message, problem) from None
        assert answer.status_code == 200
        return answer.body.to_map()


class Core(Flows):
    """aliyun-python-sdk-fnf."""

    def __init__(self, server, key="test", secret="test"):
        self.client = AcsClient(key, secret, REGION, port=server.port, timeout=70)

    def call(self, action, **parameters):
        module = importlib.import_module(f"aliyunsdkfnf.request.v20190315.{action}Request")
        request = getattr(module, f"{action}Request")()
        request.set_endpoint("127.0.0.1")
        for name, value in parameters.items():
            getattr(request, f"set_{name}")(value)
        try:
            return json.loads(self.client.do_action_with_exception(request))
        except CoreException as problem:
            status, code, message = problem.get_http_status(), problem.get_error_code(), problem.get_error_msg()
            raise Refused(status, code, message, problem) from None


class ByHand(Flows):
    """Requests made here: GET with all parameters in the query, or POST with all in the form."""

    def __init__(self, server, method="POST", key="test", secret="test"):
        self.server, self.method, self.key, self.secret = server, method, key, secret

    def call(self, action, **parameters):
        answer = ask(self.server, signed(action, parameters, self.method, self.key, self.secret), self.method)
        if answer.status != 200:
            raise Refused(answer.status, answer.json["Code"], answer.json["Message"], answer)
        return answer.json


def signed(action, parameters=None, method="POST", key="test", secret="test", **common):
    """All parameters of a request, `Signature` included; `common` overrides a common parameter, None leaves it out."""
    everything = {
        "Action": action,
        "Version": VERSION,
        "Format": "JSON",
        "AccessKeyId": key,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **(parameters or {}),
        **common,
    }
    everything = {name: str(value) for name, value in everything.items() if value is not None}
    line = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(everything.items()))
    text = f"{method}&%2F&{_encoded(line)}"
    mac = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return {**everything, "Signature": base64.b64encode(mac).decode()}


def ask(server, parameters, method="POST", in_query=()):
    """Sends parameters: by GET in the query, by POST in the form, but those named `in_query`."""
    query = {name: value for name, value in parameters.items() if method == "GET" or name in in_query}
    form = {name: value for name, value in parameters.items() if name not in query}
    target = f"/?{urlencode(query)}" if query else "/"
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    return send(server, method, target, headers, urlencode(form).encode())


def detail(event):
    """What an event says, as a document."""
    assert isinstance(event["EventDetail"], str)
    return json.loads(event["EventDetail"])


def shape(events):
    """A history without times: (type, step, id, schedule) of each event."""
    return [(event["Type"], event["StepName"], event["EventId"], event["ScheduleEventId"]) for event in events]


def types(events):
    return [event["Type"] for event in events]


def assert_sound(events):
    """EventIds count up without a gap; each event is scheduled by an earlier one; the end comes once, and last."""
    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))
    assert all(0 <= event["ScheduleEventId"] < event["EventId"] for event in events)
    assert [event["Type"] for event in events[:-1] if event["Type"] in ENDS] == []


def _encoded(text):
    return quote(text, safe="-_.~")


def _snake(action):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in action).lstrip("_")
