"""Proves what passes between durastack and a function: envelope, checkpoints, answers, and failed invocations.

A handler without the durable SDK says and checkpoints what no SDK would; handlers with it
crash and run out of time.
"""

import json
import time
from datetime import timedelta

import pytest
import workflows
from harness import error_of
from histories import details, types


# The protocol below the SDK


def run_raw(server, tmp_path, answer, **asked):
    arn = server.start_execution("raw", {"answer": answer, **asked})
    server.wait_for_end(arn)
    return arn


def test_envelope(server, functions, tmp_path):
    arn = run_raw(server, tmp_path, {"Status": "SUCCEEDED", "Result": '"x"'}, dump=str(tmp_path / "event"))
    envelope = json.loads((tmp_path / "event").read_text())
    assert envelope["DurableExecutionArn"] == arn
    assert envelope["UpdatedOperationIds"] == []
    (execution,) = envelope["InitialExecutionState"]["Operations"]
    assert execution["Id"] == arn.split("/")[-1]
    assert (execution["Type"], execution["Status"]) == ("EXECUTION", "STARTED")
    stamp = execution["StartTimestamp"]
    assert isinstance(stamp, int) and abs(stamp / 1000 - time.time()) < 60, "milliseconds, on the function's clock"
    assert server.execution(arn)["Result"] == '"x"', "the text as it came"


def test_envelope_times_fit_the_wall_clock_after_an_advance(server, functions, tmp_path):
    """SDKs compare what they are told with their own clock."""
    server.advance("30d")
    run_raw(server, tmp_path, {"Status": "SUCCEEDED"}, dump=str(tmp_path / "event"))
    envelope = json.loads((tmp_path / "event").read_text())
    stamp = envelope["InitialExecutionState"]["Operations"][0]["StartTimestamp"]
    assert abs(stamp / 1000 - time.time()) < 60


def test_f11_tokens(server, functions, tmp_path):
    update = {"Id": "a", "Type": "STEP", "Action": "START", "Name": "a"}
    end = {"Id": "a", "Type": "STEP", "Action": "SUCCEED", "Payload": "1"}
    run_raw(
        server,
        tmp_path,
        {"Status": "SUCCEEDED"},
        outcomes=str(tmp_path / "outcomes"),
        checkpoints=[
            {"updates": [update], "client_token": "one", "stale": True},  # the first token: not stale yet
            {"updates": [update], "client_token": "one", "stale": True},  # a repeat: the stored reply
            {"updates": [], "stale": True},  # spent
            {"updates": [update]},  # started already: refused, and the token still counts
            {"updates": []},  # empty, and yet a new token
            {"updates": [end]},
        ],
    )
    first, repeat, stale, refused, empty, last = json.loads((tmp_path / "outcomes").read_text())
    assert first == repeat and first["ids"] == ["a"]
    assert stale == {"status": 400, "code": "InvalidParameterValueException", "message": "Invalid checkpoint token"}
    assert refused["message"] == "Invalid current STEP state to start."
    assert empty["ids"] == [] and empty["token"] != first["token"]
    assert last["ids"] == ["a"] and last["token"] != empty["token"]


def test_f13_payload_sizes(server, functions, tmp_path):
    """A step result over the old limit is taken, one over today's is not."""
    source = workflows.RAW.replace('step.get("updates", [])', 'grown(step.get("updates", []))') + (
        "\ndef grown(updates):\n"
        "    return [{**u, 'Payload': 'x' * int(u['Payload'])} if 'Payload' in u else u for u in updates]\n"
    )
    server.deploy("grower", source)
    checkpoints = [
        {"updates": [{"Id": f"s{size}", "Type": "STEP", "Action": "SUCCEED", "Payload": str(size)}]}
        for size in (262145, 1048576, 1048577)
    ]
    asked = {"answer": {"Status": "SUCCEEDED"}, "outcomes": str(tmp_path / "outcomes"), "checkpoints": checkpoints}
    server.wait_for_end(server.start_execution("grower", asked))
    fits, limit, over = json.loads((tmp_path / "outcomes").read_text())
    assert fits["ids"] == ["s262145"] and limit["ids"] == ["s1048576"]
    assert over["code"] == "InvalidParameterValueException" and "1048576" in over["message"]


def test_f12_failed_without_error(server, functions, tmp_path):
    arn = run_raw(server, tmp_path, {"Status": "FAILED"})
    execution = server.execution(arn)
    assert execution["Status"] == "FAILED" and "Error" not in execution
    assert types(server.history(arn)) == ["ExecutionStarted", "InvocationCompleted", "ExecutionFailed"]


@pytest.mark.parametrize("answer", [{"Status": "MAYBE"}, "text", 7, {}, {"Status": "SUCCEEDED", "Error": {}}])
def test_answers_that_are_none(server, functions, tmp_path, answer):
    """Failed at once, without another try."""
    arn = run_raw(server, tmp_path, answer)
    assert server.execution(arn)["Status"] == "FAILED"
    assert types(server.history(arn)).count("InvocationCompleted") == 1


def test_pending_without_anything_pending(server, functions, tmp_path):
    arn = run_raw(server, tmp_path, {"Status": "PENDING"})
    assert server.execution(arn)["Error"]["ErrorMessage"] == "Cannot return PENDING status with no pending operations."
    assert types(server.history(arn)).count("InvocationCompleted") == 3


def test_state_outside_of_an_invocation(server, aws, functions):
    """GetDurableExecutionState is for the running handler; a spent token is refused."""
    arn = server.start_execution("echo")
    server.wait_for_end(arn)
    status, code, _ = error_of(aws.get_durable_execution_state, DurableExecutionArn=arn, CheckpointToken="c3BlbnQ=")
    assert (status, code) == (400, "InvalidParameterValueException")
    status, code, message = error_of(
        aws.checkpoint_durable_execution, DurableExecutionArn=arn, CheckpointToken="c3BlbnQ="
    )
    assert (status, code, message) == (400, "InvalidParameterValueException", "Invalid checkpoint token")


# Crashes and timeouts of the function


def test_a_crash_in_a_step(server, functions, tmp_path):
    log = tmp_path / "log"
    arn = server.start_execution("crashing", {"log": str(log)})
    events = server.wait_for_end(arn)
    assert types(events) == [
        "ExecutionStarted",
        "StepStarted",
        "InvocationCompleted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    crash = details(events[2])["Error"]["Payload"]
    assert crash["ErrorType"] == "Runtime.ExitError"
    assert crash["ErrorMessage"].endswith("Error: Runtime exited with error: exit status 1")
    assert server.execution(arn)["Result"] == "2"


def test_f14_a_step_longer_than_the_function_timeout(server, name, tmp_path):
    """The step's own retries are untouched; the invocation failed, and is tried again after a pause."""
    log = tmp_path / "log"
    server.deploy(name, workflows.SLOW_STEP, Timeout=3)
    arn = server.start_execution(name, {"log": str(log), "seconds": 10, "always": True})
    for tries in (1, 2):
        server.wait_for_event(arn, "InvocationCompleted", count=tries)
        server.advance("2s")
    events = server.history(arn)
    assert "StepFailed" not in types(events)
    assert types(events).count("StepStarted") == 2, "once for each step, not for each try"
    timeouts = [details(event)["Error"]["Payload"] for event in events if event["EventType"] == "InvocationCompleted"]
    assert {timeout["ErrorType"] for timeout in timeouts} == {"Sandbox.Timedout"}
    assert timeouts[0]["ErrorMessage"].endswith("Task timed out after 3.00 seconds")
    server.aws.stop_durable_execution(DurableExecutionArn=arn)


def test_execution_timeout(server, aws, name):
    server.deploy(name, workflows.WAIT, DurableConfig={"ExecutionTimeout": 100, "RetentionPeriodInDays": 1})
    arn = server.suspended(name, {"seconds": 600})
    expected = server.execution(arn)["ExpectedExecutionTimeoutTimestamp"]
    assert expected - server.execution(arn)["StartTimestamp"] == timedelta(seconds=100)
    server.advance("100s")
    events = server.wait_for_end(arn)
    assert types(events)[-3:] == ["WaitStarted", "InvocationCompleted", "ExecutionTimedOut"]
    execution = server.execution(arn)
    assert execution["Status"] == "TIMED_OUT"
    assert execution["Error"]["ErrorMessage"] == "Execution timed out after 100 seconds."
    assert timedelta(0) <= execution["EndTimestamp"] - expected < timedelta(seconds=5)
