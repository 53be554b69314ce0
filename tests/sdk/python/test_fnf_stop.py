"""Proves that StopExecution answers, ends what waits, and tells the parent, exactly as documented.

Its nine members; each row of its error table that can be reached; stopped in every place
that an execution can be in, twice, after the end, and by two clients at once.
"""

import concurrent.futures
import json

import flows
import pytest
from fnf import ByHand, Core, Refused, Tea, ask, assert_sound, detail, signed, types
from harness import wait_for

SECONDS = 600
MEMBERS = {
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


@pytest.fixture
def waiting(fnf, name):
    """A flow with an execution `one` in a wait."""
    fnf.create(name, flows.WAIT)
    fnf.start(name, {"seconds": SECONDS}, name="one")
    fnf.event(name, "one", "StepStarted", "pause")
    return name


# The answer


def test_the_answer(server, fnf, waiting):
    begun = fnf.execution(waiting, "one")
    answer = fnf.stop(waiting, "one", Error="Enough", Cause="of this")
    assert set(answer) == MEMBERS
    assert answer["Status"] == "Running", "the state turns right after"
    assert answer["StoppedTime"] >= answer["StartedTime"] == begun["StartedTime"]
    assert (answer["FlowName"], answer["Name"], answer["Output"]) == (waiting, "one", "")
    assert (answer["Input"], answer["FlowDefinition"]) == (json.dumps({"seconds": SECONDS}), flows.WAIT)
    found = fnf.ended(waiting, "one")
    assert (found["Status"], found["StoppedTime"], found["Output"]) == ("Stopped", answer["StoppedTime"], "")
    events = fnf.history(waiting, "one")
    assert types(events)[-2:] == ["StepStarted", "ExecutionStopped"]
    assert detail(events[-1]) == {"error": "Enough", "cause": "of this"}
    assert events[-1]["Time"] == answer["StoppedTime"]
    assert_sound(events)
    server.advance(f"{SECONDS}s")
    assert fnf.history(waiting, "one") == events, "nothing follows the end"


def test_without_a_reason(fnf, waiting):
    fnf.stop(waiting, "one")
    fnf.ended(waiting, "one")
    assert detail(fnf.history(waiting, "one")[-1])["error"] == "FnF.ExecutionStopped"


# Refusals: the rows of its error table


def test_twice(fnf, waiting):
    first = fnf.stop(waiting, "one", Error="First")
    status, code, message = fnf.refused("StopExecution", FlowName=waiting, ExecutionName="one", Error="Second")
    assert (status, code) == (400, "ExecutionAlreadyCompleted")
    assert message == f"Execution 'one' for flow '{waiting}' has already completed."
    assert fnf.execution(waiting, "one")["StoppedTime"] == first["StoppedTime"]
    assert detail(fnf.history(waiting, "one")[-1])["error"] == "First"


@pytest.mark.parametrize("flow", ["PASSES", "FAIL"])
def test_after_the_end(fnf, name, flow):
    fnf.create(name, getattr(flows, flow))
    fnf.start(name, name="one")
    before = fnf.ended(name, "one")
    outcome = fnf.refused("StopExecution", FlowName=name, ExecutionName="one")
    assert outcome[:2] == (400, "ExecutionAlreadyCompleted")
    after = fnf.execution(name, "one")
    assert (after["Status"], after["StoppedTime"]) == (before["Status"], before["StoppedTime"])


def test_what_is_not_there(fnf, waiting):
    outcome = fnf.refused("StopExecution", FlowName="nowhere", ExecutionName="one")
    assert outcome == (404, "FlowNotExists", "Flow 'nowhere' does not exist.")
    outcome = fnf.refused("StopExecution", FlowName=waiting, ExecutionName="two")
    assert outcome == (404, "ExecutionNotExists", f"Execution 'two' for flow '{waiting}' does not exist.")
    outcome = fnf.refused("StopExecution", FlowName="nowhere", ExecutionName="two", Error="E", Cause="C")
    assert outcome[1] == "FlowNotExists"


@pytest.mark.parametrize("missing", ["FlowName", "ExecutionName"])
def test_without_a_name(fnf, waiting, missing):
    parameters = {"FlowName": waiting, "ExecutionName": "one"}
    del parameters[missing]
    outcome = fnf.refused("StopExecution", **parameters)
    assert outcome == (400, "MissingRequiredParams", f"The HTTP query '{missing}' must be specified.")


@pytest.mark.parametrize(("member", "longest"), [("Error", 128), ("Cause", 4096)])
def test_how_long_a_reason_may_be(fnf, waiting, member, longest):
    parameters = {"FlowName": waiting, "ExecutionName": "one"}
    outcome = fnf.refused("StopExecution", **parameters, **{member: "x" * (longest + 1)})
    assert outcome[:2] == (400, "InvalidArgument")
    assert fnf.execution(waiting, "one")["Status"] == "Running"
    fnf.stop(waiting, "one", **{member: "é" * longest})
    fnf.ended(waiting, "one")
    assert detail(fnf.history(waiting, "one")[-1])[member.lower()] == "é" * longest


@pytest.mark.parametrize("bad", ["1st", "a b", "x" * 129])
def test_bad_names(fnf, waiting, bad):
    """A text that can name nothing is refused as such, or names nothing that is there."""
    either = [(400, "InvalidArgument"), (404, "ExecutionNotExists")]
    assert fnf.refused("StopExecution", FlowName=waiting, ExecutionName=bad)[:2] in either
    either = [(400, "InvalidArgument"), (404, "FlowNotExists")]
    assert fnf.refused("StopExecution", FlowName=bad, ExecutionName="one")[:2] in either


def test_who_may_not(server, fnf, waiting):
    """Key, signature, time, version: each is refused before the execution is touched."""
    parameters = {"FlowName": waiting, "ExecutionName": "one"}
    wrong = {
        (403, "SignatureNotMatch"): signed("StopExecution", parameters, secret="wrong"),
        (403, "InvalidAccessKeyID"): signed("StopExecution", parameters, key="nobody"),
        (403, "RequestTimeTooSkewed"): signed("StopExecution", parameters, Timestamp="2020-01-01T00:00:00Z"),
        (400, "APIVersionNotSupported"): signed("StopExecution", parameters, Version="2016-01-01"),
        (400, "ActionNotSupported"): signed("StopExecutions", parameters),
    }
    for expected, request in wrong.items():
        answer = ask(server, request)
        assert (answer.status, answer.json["Code"]) == expected
    foreign = ByHand(server, key="123456789012").refused("StopExecution", **parameters)
    assert foreign[:2] in [(404, "FlowNotExists"), (403, "AccessDenied")], "another account"
    assert fnf.execution(waiting, "one")["Status"] == "Running"


def test_too_large(server, name):
    outcome = Tea(server).refused("StopExecution", FlowName=name, ExecutionName="one", Cause="x" * 1_100_000)
    assert outcome[:2] == (400, "EntityTooLarge")


# Places


@pytest.fixture(scope="module")
def child(server):
    ByHand(server).create("child", flows.CHILD)


@pytest.mark.parametrize("place", flows.PLACES)
def test_in_every_place(server, child, name, tmp_path, place):
    """At once, for ever, and only once; whatever was under way has no effect any more."""
    fnf, log = Tea(server), tmp_path / "log"
    definition, event, step = flows.places(SECONDS)[place]
    fnf.create(name, definition)
    fnf.start(name, {"log": str(log), "items": [1, 2], "seconds": SECONDS}, name=name)
    fnf.event(name, name, event, step)
    if place == "task":
        wait_for(lambda: "slow" in log.read_text(encoding="utf-8"), "the function to run")
    answer = fnf.stop(name, name, Error="Enough", Cause="of this")
    assert fnf.ended(name, name)["StoppedTime"] == answer["StoppedTime"]
    events = fnf.history(name, name)
    assert types(events)[-1] == "ExecutionStopped"
    assert detail(events[-1]) == {"error": "Enough", "cause": "of this"}
    assert_sound(events)
    assert fnf.refused("StopExecution", FlowName=name, ExecutionName=name)[:2] == (400, "ExecutionAlreadyCompleted")

    if place == "sub-flow":
        assert fnf.execution("child", name)["Status"] == "Running", "children of a stopped parent go on"
        fnf.event("child", name, "StepStarted", "pause")
    if place == "callback":
        token = detail(fnf.event(name, name, "TaskScheduled", "ask"))["input"]["token"]
        outcome = fnf.refused("ReportTaskSucceeded", TaskToken=token, Output="{}")
        assert outcome[:2] == (400, "TaskAlreadyCompleted")
    (tmp_path / "log.go").touch()
    server.advance(f"{SECONDS}s")
    if place == "sub-flow":
        assert fnf.ended("child", name)["Status"] == "Succeeded"
    if place == "task":
        # Calls after one another: whatever the slow function reported has arrived.
        fnf.create(f"{name}-echo", flows.HEAD + flows.task("echo"))
        fnf.output(f"{name}-echo", fnf.start(f"{name}-echo"))
    assert fnf.history(name, name) == events, "nothing follows the end"
    assert "after" not in log.read_text(encoding="utf-8").split()


def test_a_stopped_child_tells_its_parent(server, child, name, tmp_path):
    fnf = Core(server)
    definition, event, step = flows.places(SECONDS)["sub-flow"]
    fnf.create(name, definition)
    fnf.start(name, {"log": str(tmp_path / "log"), "seconds": SECONDS}, name=name)
    fnf.event(name, name, event, step)
    fnf.stop("child", name, Error="Halt", Cause="by hand")
    assert fnf.ended(name, name)["Status"] == "Failed"
    events = fnf.history(name, name)
    assert types(events)[-3:] == ["TaskFailed", "StepFailed", "ExecutionFailed"]
    assert detail(events[-1]) == {"error": "Halt", "cause": "by hand"}


def test_two_at_once(server, name):
    """One stops it; the other hears that, or that it came in between."""
    clients = [Tea(server), Core(server), ByHand(server, "GET"), ByHand(server)]
    clients[0].create(name, flows.WAIT)
    for number in range(8):
        execution = clients[0].start(name, {"seconds": SECONDS}, name=f"run-{number}")
        clients[0].event(name, execution, "StepStarted", "pause")
        with concurrent.futures.ThreadPoolExecutor() as threads:
            calls = [threads.submit(stop, client, name, execution) for client in clients]
        outcomes = [call.result() for call in calls]
        assert outcomes.count(None) == 1, outcomes
        late = [(400, "ExecutionAlreadyCompleted"), (409, "ConcurrentUpdateError")]
        assert all(outcome in late for outcome in outcomes if outcome), outcomes
        events = clients[0].history(name, execution)
        assert types(events).count("ExecutionStopped") == 1
        assert_sound(events)


def stop(client, flow, execution):
    """None, or what it was refused with."""
    try:
        client.stop(flow, execution)
    except Refused as refusal:
        return refusal.status, refusal.code
    return None
