"""Proves that each operation on flows and executions answers as documented, through every client.

Each test runs through both official SDKs for Python and through hand-signed requests by GET
and by POST: well-formed calls, bad input, paging.
"""

import json
import re
import threading

import flows
import pytest
from fnf import REGION, ByHand, assert_sound, detail, shape, types

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
BAD_NAMES = ["1st", "-x", "with space", "grün", "a/b", "x" * 129]
EXECUTION_MEMBERS = {
    "FlowName",
    "Name",
    "Status",
    "Input",
    "Output",
    "StartedTime",
    "StoppedTime",
    "FlowDefinition",
    "RequestId",
}


# Flows


def test_create_and_describe(fnf, name):
    definition = flows.PASSES + "# a comment: ümläut\t+ & = %\n\n"
    created = fnf.create(name, definition, Description="two steps", RoleArn="acs:ram::1:role/r")
    assert created["RequestId"]
    assert created["Id"]
    assert TIME.match(created["CreatedTime"])
    assert created["LastModifiedTime"] == created["CreatedTime"]
    told = {member: created[member] for member in ("Name", "Type", "Definition", "Description", "RoleArn")}
    assert told == {
        "Name": name,
        "Type": "FDL",
        "Definition": definition,
        "Description": "two steps",
        "RoleArn": "acs:ram::1:role/r",
    }, "byte for byte"
    described = fnf.call("DescribeFlow", Name=name)
    assert described.pop("RequestId") != created.pop("RequestId")
    assert {member: described[member] for member in created} == created


def test_create_json(fnf, name):
    """A definition may be JSON, which is YAML."""
    definition = '{"version": "v1", "type": "flow",\n "steps": [{"type": "pass", "name": "p"}]}'
    fnf.create(name, definition)
    assert fnf.call("DescribeFlow", Name=name)["Definition"] == definition
    assert fnf.output(name, fnf.start(name)) == {}


def test_create_twice(fnf, name):
    fnf.create(name, flows.PASSES)
    status, code, message = fnf.refused(
        "CreateFlow", Name=name, Definition=flows.PASSES, Description="made by a test", Type="FDL"
    )
    assert (status, code) == (409, "FlowAlreadyExists")
    assert name in message


@pytest.mark.parametrize("missing", ["Name", "Definition", "Description", "Type"])
def test_create_without(fnf, name, missing):
    parameters = {"Name": name, "Definition": flows.PASSES, "Description": "", "Type": "FDL"}
    del parameters[missing]
    status, code, message = fnf.refused("CreateFlow", **parameters)
    assert (status, code) == (400, "MissingRequiredParams")
    assert message == f"The HTTP query '{missing}' must be specified."


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_bad_flow_names(fnf, bad):
    outcome = fnf.refused("CreateFlow", Name=bad, Definition=flows.PASSES, Description="", Type="FDL")
    assert outcome[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize(
    "definition",
    [
        "version: v1\ntype: flow\nsteps: [",
        "just words",
        "version: v9\ntype: flow\nsteps:\n  - {type: pass, name: p}\n",
        "version: v1\ntype: flow\nsteps:\n  - {type: unheard-of, name: p}\n",
        "version: v1\ntype: flow\nsteps:\n  - {type: pass, name: p}\n  - {type: pass, name: p}\n",
        "version: v1\ntype: flow\nsteps: []\n",
    ],
    ids=["no YAML", "no flow", "version", "step type", "step name taken", "no steps"],
)
def test_bad_definitions(fnf, name, definition):
    outcome = fnf.refused("CreateFlow", Name=name, Definition=definition, Description="", Type="FDL")
    assert outcome[:2] == (400, "InvalidArgument")
    assert fnf.refused("DescribeFlow", Name=name)[1] == "FlowNotExists", "nothing came of it"


def test_bad_type(fnf, name):
    outcome = fnf.refused("CreateFlow", Name=name, Definition=flows.PASSES, Description="", Type="ASL")
    assert outcome[:2] == (400, "InvalidArgument")


def test_update(server, fnf, name):
    created = fnf.create(name, flows.WAIT, Description="old")
    execution = fnf.start(name, {"seconds": 60})
    fnf.event(name, execution, "StepStarted", "pause")
    updated = fnf.call("UpdateFlow", Name=name, Description="new")
    assert (updated["Description"], updated["Definition"]) == ("new", flows.WAIT), "only what is given changes"
    server.advance("1s")
    updated = fnf.call("UpdateFlow", Name=name, Definition=flows.PASSES, Type="FDL")
    assert (updated["Description"], updated["Definition"]) == ("new", flows.PASSES)
    assert (updated["Id"], updated["CreatedTime"]) == (created["Id"], created["CreatedTime"])
    assert updated["LastModifiedTime"] > created["LastModifiedTime"]
    server.advance("60s")
    assert fnf.output(name, execution) == {"rested": True}, "a running execution keeps its definition"
    assert fnf.output(name, fnf.start(name, {"seconds": 60})) == {}
    outcome = fnf.refused("UpdateFlow", Name=name, Definition="no flow")
    assert outcome[:2] == (400, "InvalidArgument")
    assert fnf.call("DescribeFlow", Name=name)["Definition"] == flows.PASSES


@pytest.mark.parametrize("action", ["UpdateFlow", "DescribeFlow", "DeleteFlow"])
def test_flows_that_are_not_there(fnf, action):
    status, code, message = fnf.refused(action, Name="nowhere")
    assert (status, code) == (404, "FlowNotExists")
    assert message == "Flow 'nowhere' does not exist."
    assert fnf.refused(action)[:2] == (400, "MissingRequiredParams")


def test_delete(fnf, name):
    fnf.create(name, flows.PASSES)
    execution = fnf.start(name, name="kept")
    fnf.ended(name, execution)
    assert set(fnf.call("DeleteFlow", Name=name)) == {"RequestId"}
    assert fnf.refused("DescribeFlow", Name=name)[1] == "FlowNotExists"
    assert fnf.refused("DescribeExecution", FlowName=name, ExecutionName="kept")[1] == "FlowNotExists"
    assert fnf.refused("StartExecution", FlowName=name)[1] == "FlowNotExists"
    fnf.create(name, flows.PASSES)
    assert fnf.call("ListExecutions", FlowName=name)["Executions"] == [], "a new flow of the name starts empty"
    assert fnf.refused("GetExecutionHistory", FlowName=name, ExecutionName="kept")[1] == "ExecutionNotExists"
    fnf.start(name, name="kept")


def test_list_flows(fnf, name):
    mine = [f"{name}-{letter}" for letter in "cab"]
    for each in mine:
        fnf.create(each, flows.PASSES)
    everything = [flow for page in fnf.pages("ListFlows", "Flows", Limit=1000) for flow in page]
    names = [flow["Name"] for flow in everything]
    assert names == sorted(names)
    assert [found for found in names if found in mine] == sorted(mine)
    assert "RequestId" not in everything[0]
    assert everything[0]["Definition"]
    by_two = list(fnf.pages("ListFlows", "Flows", Limit=2))
    assert [len(page) for page in by_two[:-1]] == [2] * (len(by_two) - 1)
    assert [flow["Name"] for page in by_two for flow in page] == names
    assert fnf.call("ListFlows", NextToken=f"{name}-b", Limit=1)["Flows"][0]["Name"] == f"{name}-b"


@pytest.mark.parametrize("limit", ["-1", "1001", "many"])
@pytest.mark.parametrize("action", ["ListFlows", "ListExecutions", "GetExecutionHistory"])
def test_bad_limits(fnf, hello, action, limit):
    where = {"FlowName": "hello", "ExecutionName": "one"} if action == "GetExecutionHistory" else {"FlowName": "hello"}
    outcome = fnf.refused(action, Limit=limit, **({} if action == "ListFlows" else where))
    assert outcome[:2] == (400, "InvalidArgument")


# Starting


@pytest.fixture(scope="module")
def hello(server):
    """A flow with an execution named `one`."""
    client = ByHand(server)
    client.create("hello", flows.GREET)
    client.start("hello", {"who": "Ada"}, name="one")
    client.ended("hello", "one")


def test_start(fnf, name):
    fnf.create(name, flows.GREET)
    text = '{ "who":\t"Ada",  "n": 1.0 }'
    begun = fnf.call("StartExecution", FlowName=name, Input=text)
    assert set(begun) >= EXECUTION_MEMBERS
    assert UUID.match(begun["Name"])
    assert (begun["Status"], begun["Output"], begun["StoppedTime"]) == ("", "", "")
    assert (begun["FlowName"], begun["Input"], begun["FlowDefinition"]) == (name, text, flows.GREET)
    assert TIME.match(begun["StartedTime"])
    found = fnf.ended(name, begun["Name"])
    assert set(found) >= EXECUTION_MEMBERS
    assert (found["Status"], found["Input"]) == ("Succeeded", text)
    assert json.loads(found["Output"]) == {"hello": "Ada"}
    assert found["StartedTime"] == begun["StartedTime"]
    assert TIME.match(found["StoppedTime"])
    assert found["StoppedTime"] >= found["StartedTime"]


def test_start_without_input(fnf, name):
    fnf.create(name, flows.PASSES)
    begun = fnf.call("StartExecution", FlowName=name)
    assert begun["Input"] == "{}"
    assert fnf.output(name, begun["Name"]) == {}


def test_start_with_empty_texts(fnf, name):
    """SDKs really send `ExecutionName=` when told to."""
    fnf.create(name, flows.PASSES)
    begun = fnf.call("StartExecution", FlowName=name, ExecutionName="", CallbackFnFTaskToken="")
    assert UUID.match(begun["Name"])


@pytest.mark.parametrize("bad", ["[]", "1", '"text"', "{", "null", "{} {}"])
def test_bad_inputs(fnf, hello, bad):
    assert fnf.refused("StartExecution", FlowName="hello", Input=bad)[:2] == (400, "InvalidArgument")


@pytest.mark.parametrize("bad", BAD_NAMES)
def test_bad_execution_names(fnf, hello, bad):
    assert fnf.refused("StartExecution", FlowName="hello", ExecutionName=bad)[:2] == (400, "InvalidArgument")


def test_names(server, fnf, name):
    """The same name while it runs is the same execution; after the end it is taken for ever."""
    fnf.create(name, flows.WAIT)
    first = fnf.call("StartExecution", FlowName=name, ExecutionName="one", Input='{"seconds": 60}')
    again = fnf.call("StartExecution", FlowName=name, ExecutionName="one", Input='{"seconds": 7}')
    for member in ("Name", "Input", "StartedTime"):
        assert again[member] == first[member]
    assert len(fnf.call("ListExecutions", FlowName=name)["Executions"]) == 1
    fnf.event(name, "one", "StepStarted", "pause")
    server.advance("60s")
    fnf.ended(name, "one")
    status, code, message = fnf.refused("StartExecution", FlowName=name, ExecutionName="one")
    assert (status, code) == (400, "ExecutionAlreadyExists")
    assert "one" in message
    assert name in message


def test_a_failed_flow(fnf, name):
    fnf.create(name, flows.FAIL)
    execution = fnf.start(name)
    found = fnf.ended(name, execution)
    assert (found["Status"], found["Output"]) == ("Failed", "")
    events = fnf.history(name, execution)
    assert types(events) == ["ExecutionStarted", "StepEntered", "StepStarted", "StepFailed", "ExecutionFailed"]
    assert detail(events[-1]) == {"error": "NotToday", "cause": "the shop is closed"}


def test_a_flow_that_times_out(server, fnf, name):
    fnf.create(name, flows.TIMED)
    execution = fnf.start(name)
    fnf.event(name, execution, "StepStarted")
    server.advance("600s")
    found = fnf.ended(name, execution)
    assert (found["Status"], found["Output"]) == ("TimedOut", "")
    assert types(fnf.history(name, execution))[-1] == "ExecutionTimedOut"


# Reading


@pytest.mark.parametrize("action", ["DescribeExecution", "GetExecutionHistory", "StopExecution"])
def test_executions_that_are_not_there(fnf, hello, action):
    status, code, message = fnf.refused(action, FlowName="nowhere", ExecutionName="one")
    assert (status, code, message) == (404, "FlowNotExists", "Flow 'nowhere' does not exist.")
    status, code, message = fnf.refused(action, FlowName="hello", ExecutionName="two")
    assert (status, code) == (404, "ExecutionNotExists")
    assert "two" in message
    assert "hello" in message
    for missing in ({"FlowName": "hello"}, {"ExecutionName": "one"}):
        assert fnf.refused(action, **missing)[:2] == (400, "MissingRequiredParams")


def test_long_poll(server, fnf, name):
    """It answers at the end of the execution, or with what there is when its time is up."""
    fnf.create(name, flows.WAIT)
    execution = fnf.start(name, {"seconds": 600})
    fnf.event(name, execution, "StepStarted", "pause")
    found = fnf.execution(name, execution, WaitTimeSeconds=1)
    assert (found["Status"], found["StoppedTime"]) == ("Running", "")
    answers = []
    poll = threading.Thread(
        target=lambda: answers.append(fnf.execution(name, execution, WaitTimeSeconds=60)), daemon=True
    )
    poll.start()
    poll.join(timeout=0.3)
    assert poll.is_alive()
    server.advance("600s")
    poll.join(timeout=30)
    assert [answer["Status"] for answer in answers] == ["Succeeded"]
    assert fnf.execution(name, execution, WaitTimeSeconds=60)["Status"] == "Succeeded", "at once"


@pytest.mark.parametrize("seconds", ["-1", "61", "soon"])
def test_bad_long_polls(fnf, hello, seconds):
    outcome = fnf.refused("DescribeExecution", FlowName="hello", ExecutionName="one", WaitTimeSeconds=seconds)
    assert outcome[:2] == (400, "InvalidArgument")


def test_list_executions(server, fnf, name):
    fnf.create(name, flows.WAIT)
    assert fnf.call("ListExecutions", FlowName=name)["Executions"] == []
    for each in ("run-1", "run-2", "other", "run-3"):
        fnf.start(name, {"seconds": 600}, name=each)
        server.advance("1s")
    fnf.stop(name, "run-2")

    def listed(**more):
        pages = fnf.pages("ListExecutions", "Executions", FlowName=name, **more)
        return [execution["Name"] for page in pages for execution in page]

    assert listed() == ["run-3", "other", "run-2", "run-1"], "newest first"
    assert listed(Limit=1) == listed(Limit=3) == listed()
    assert len(fnf.call("ListExecutions", FlowName=name, Limit=3)["Executions"]) == 3
    assert listed(Status="Stopped") == ["run-2"]
    assert listed(Status="Running", ExecutionNamePrefix="run-") == ["run-3", "run-1"]
    assert listed(ExecutionNamePrefix="run-", Limit=1) == ["run-3", "run-2", "run-1"]
    started = fnf.execution(name, "run-2")["StartedTime"]
    assert listed(StartedTimeBegin=started) == ["run-3", "other", "run-2"]
    assert listed(StartedTimeEnd=started) == ["run-2", "run-1"]
    one = fnf.call("ListExecutions", FlowName=name, Limit=1)["Executions"][0]
    assert set(one) >= EXECUTION_MEMBERS - {"RequestId"}
    assert one["FlowDefinition"] == flows.WAIT
    assert fnf.refused("ListExecutions", FlowName="nowhere")[:2] == (404, "FlowNotExists")
    assert fnf.refused("ListExecutions")[:2] == (400, "MissingRequiredParams")
    assert fnf.refused("ListExecutions", FlowName=name, Status="Sleeping")[:2] == (400, "InvalidArgument")
    assert fnf.refused("ListExecutions", FlowName=name, StartedTimeBegin="noon")[:2] == (400, "InvalidArgument")


def test_history(fnf, name):
    """Event for event what the vendor published of two pass steps."""
    fnf.create(name, flows.PASSES)
    execution = fnf.start(name)
    fnf.ended(name, execution)
    events = fnf.history(name, execution)
    assert shape(events) == [
        ("ExecutionStarted", "", 1, 0),
        ("StepEntered", "pass1", 2, 1),
        ("StepStarted", "pass1", 3, 2),
        ("StepSucceeded", "pass1", 4, 3),
        ("StepExited", "pass1", 5, 4),
        ("StepEntered", "pass2", 6, 5),
        ("StepStarted", "pass2", 7, 6),
        ("StepSucceeded", "pass2", 8, 7),
        ("StepExited", "pass2", 9, 8),
        ("ExecutionSucceeded", "", 10, 9),
    ]
    assert [detail(event) for event in events[:5]] == [
        {"input": {}},
        {"input": {}, "local": {}},
        {"input": {}},
        {"output": {}},
        {"local": {}},
    ]
    assert detail(events[-1]) == {"output": {}}
    assert all(TIME.match(event["Time"]) for event in events)
    assert_sound(events)

    pages = list(fnf.pages("GetExecutionHistory", "Events", FlowName=name, ExecutionName=execution, Limit=3))
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert [event for page in pages for event in page] == events
    answer = fnf.call("GetExecutionHistory", FlowName=name, ExecutionName=execution, Limit=3)
    assert answer["NextToken"] == "3", "the id of the last event"
    outcome = fnf.refused("GetExecutionHistory", FlowName=name, ExecutionName=execution, NextToken="third")
    assert outcome[:2] == (400, "InvalidArgument")


# Reports


@pytest.fixture
def asked(fnf, name):
    """A flow with an execution `one` that waits for a report; gives (flow, token)."""
    fnf.create(name, flows.CALLBACK)
    fnf.start(name, {"order": "o-1"}, name="one")
    return name, fnf.token(name, "one", "ask")


def test_report_success(fnf, asked):
    flow, token = asked
    number = fnf.succeed(token, {"approved": True, "by": "zoë+/="})
    assert fnf.output(flow, "one") == {"approved": True, "by": "zoë+/="}
    events = fnf.history(flow, "one")
    assert types(events) == [
        "ExecutionStarted",
        "StepEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "StepExited",
        "ExecutionSucceeded",
    ]
    assert (events[number - 1]["EventId"], events[number - 1]["Type"]) == (number, "TaskSucceeded")
    for action, more in (("ReportTaskSucceeded", {"Output": "{}"}), ("ReportTaskFailed", {"Error": "Late"})):
        assert fnf.refused(action, TaskToken=token, **more)[:2] == (400, "TaskAlreadyCompleted")
    assert fnf.history(flow, "one") == events


def test_report_failure(fnf, asked):
    flow, token = asked
    number = fnf.fail(token, "Rejected", Cause="too dear")
    assert fnf.ended(flow, "one")["Status"] == "Failed"
    events = fnf.history(flow, "one")
    assert types(events)[-3:] == ["TaskFailed", "StepFailed", "ExecutionFailed"]
    assert events[number - 1]["Type"] == "TaskFailed"
    assert detail(events[-1]) == {"error": "Rejected", "cause": "too dear"}
    assert fnf.refused("ReportTaskFailed", TaskToken=token, Error="Again")[:2] == (400, "TaskAlreadyCompleted")


def test_report_after_a_stop(fnf, asked):
    flow, token = asked
    fnf.stop(flow, "one")
    fnf.ended(flow, "one")
    assert fnf.refused("ReportTaskSucceeded", TaskToken=token, Output="{}")[:2] == (400, "TaskAlreadyCompleted")


@pytest.mark.parametrize("output", ["[]", "text", "1", "{"], ids=["list", "text", "number", "broken"])
def test_reports_that_are_no_object(fnf, asked, output):
    flow, token = asked
    assert fnf.refused("ReportTaskSucceeded", TaskToken=token, Output=output)[:2] == (400, "InvalidArgument")
    assert fnf.execution(flow, "one")["Status"] == "Running"


@pytest.mark.parametrize("token", ["bm90aGluZw==", "not base64!", "djEjZmxvdyNleGVjIzIjYWJj"])
def test_tokens_that_are_none(fnf, token):
    for action, more in (("ReportTaskSucceeded", {"Output": "{}"}), ("ReportTaskFailed", {"Error": "E"})):
        status, code, _ = fnf.refused(action, TaskToken=token, **more)
        assert (status, code) in [(400, "InvalidArgument"), (403, "AccessDenied")]


def test_a_token_that_was_changed(fnf, asked):
    flow, token = asked
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    status, code, _ = fnf.refused("ReportTaskSucceeded", TaskToken=changed, Output="{}")
    assert (status, code) in [(400, "InvalidArgument"), (403, "AccessDenied")]
    assert fnf.execution(flow, "one")["Status"] == "Running"


def test_reports_that_lack_something(fnf, asked):
    _, token = asked
    assert fnf.refused("ReportTaskSucceeded", TaskToken=token)[:2] == (400, "MissingRequiredParams")
    assert fnf.refused("ReportTaskSucceeded", Output="{}")[:2] == (400, "MissingRequiredParams")
    assert fnf.refused("ReportTaskFailed", TaskToken=token)[:2] == (400, "MissingRequiredParams")
    assert fnf.refused("ReportTaskFailed", TaskToken=token, Error="x" * 129)[:2] == (400, "InvalidArgument")
    long = fnf.refused("ReportTaskFailed", TaskToken=token, Error="E", Cause="x" * 4097)
    assert long[:2] == (400, "InvalidArgument")


def test_an_execution_that_reports_its_end(fnf, asked, name):
    """CallbackFnFTaskToken: one execution's end is another one's report."""
    flow, token = asked
    fnf.create(f"{name}-child", flows.GREET)
    fnf.start(f"{name}-child", {"who": "Ada"}, CallbackFnFTaskToken=token)
    assert fnf.output(flow, "one") == {"hello": "Ada"}


def test_an_execution_that_reports_its_failure(fnf, asked, name):
    flow, token = asked
    fnf.create(f"{name}-child", flows.FAIL)
    fnf.start(f"{name}-child", CallbackFnFTaskToken=token)
    assert fnf.ended(flow, "one")["Status"] == "Failed"
    assert detail(fnf.history(flow, "one")[-1]) == {"error": "NotToday", "cause": "the shop is closed"}


# Where they are


def test_regions_and_accounts_are_apart(server, fnf, name):
    fnf.create(name, flows.PASSES)
    other = ByHand(server, key="123456789012", secret="test")
    assert other.refused("DescribeFlow", Name=name)[1] == "FlowNotExists"
    elsewhere = fnf.refused("DescribeFlow", Name=name, RegionId="cn-beijing") if hasattr(fnf, "method") else None
    assert elsewhere in (None, (404, "FlowNotExists", f"Flow '{name}' does not exist."))
    if hasattr(fnf, "method"):
        assert fnf.call("DescribeFlow", Name=name, RegionId=REGION)["Name"] == name
