"""Proves what people may do to a running execution: answer its callbacks, stop it, start it again by name.

Answers, their absence and heartbeats; stop in a wait and in the middle of a step; the rows
of the table that says what a name does which is taken already.
"""

import json

import pytest
from harness import error_of, wait_for
from histories import details, types
from signing import send, signed


# Callbacks


def callback_of(server, arn):
    return details(server.wait_for_event(arn, "CallbackStarted"))["CallbackId"]


@pytest.mark.parametrize("result", [b'{"a": 1}', b"plain text", "grün".encode(), b'"quoted"'])
def test_callback_success(server, aws, functions, result):
    arn = server.suspended("callback")
    aws.send_durable_execution_callback_success(CallbackId=callback_of(server, arn), Result=result)
    events = server.wait_for_end(arn)
    assert types(events)[1:] == [
        "CallbackStarted",
        "InvocationCompleted",
        "CallbackSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]
    assert details(events[3])["Result"]["Payload"] == result.decode(), "verbatim"
    assert json.loads(server.execution(arn)["Result"]) == {"answer": result.decode()}


def test_callback_success_without_result(server, aws, functions):
    arn = server.suspended("callback")
    aws.send_durable_execution_callback_success(CallbackId=callback_of(server, arn))
    events = server.wait_for_end(arn)
    assert "Payload" not in details(events[3])["Result"], "what is missing stays missing"
    assert json.loads(server.execution(arn)["Result"]) == {"answer": None}


def test_callback_failure(server, aws, functions):
    arn = server.suspended("callback")
    error = {"ErrorType": "NotAllowed", "ErrorMessage": "no", "ErrorData": "d", "StackTrace": ["a", "b"]}
    aws.send_durable_execution_callback_failure(CallbackId=callback_of(server, arn), Error=error)
    events = server.wait_for_end(arn)
    assert types(events)[3:] == ["CallbackFailed", "InvocationCompleted", "ExecutionFailed"]
    assert details(events[3])["Error"]["Payload"] == error
    assert server.execution(arn)["Status"] == "FAILED"


def test_callback_failure_without_error(server, aws, functions):
    arn = server.suspended("callback")
    aws.send_durable_execution_callback_failure(CallbackId=callback_of(server, arn))
    failed = details(server.wait_for_event(arn, "CallbackFailed"))
    assert failed["Error"].get("Payload", {}) == {}, "no invented message"


def test_callback_answered_twice(server, aws, functions):
    arn = server.suspended("callback")
    callback = callback_of(server, arn)
    aws.send_durable_execution_callback_success(CallbackId=callback, Result=b"first")
    for call in (
        aws.send_durable_execution_callback_success,
        aws.send_durable_execution_callback_failure,
        aws.send_durable_execution_callback_heartbeat,
    ):
        assert error_of(call, CallbackId=callback)[:2] == (400, "CallbackTimeoutException"), call.__name__
    server.wait_for_end(arn)
    assert json.loads(server.execution(arn)["Result"]) == {"answer": "first"}


def test_callback_timeout(server, aws, functions):
    arn = server.suspended("callback", {"timeout": 100})
    server.advance("99s")
    assert types(server.history(arn))[-1] == "InvocationCompleted"
    server.advance("1s")
    events = server.wait_for_end(arn)
    assert types(events)[3:] == ["CallbackTimedOut", "InvocationCompleted", "ExecutionFailed"]
    assert details(events[3])["Error"]["Payload"] == {
        "ErrorType": "Callback.Timeout",
        "ErrorMessage": "Callback timed out",
    }
    callback = details(events[1])["CallbackId"]
    assert error_of(aws.send_durable_execution_callback_success, CallbackId=callback)[1] == "CallbackTimeoutException"


def test_heartbeats_keep_a_callback_alive_but_not_for_ever(server, aws, functions):
    arn = server.suspended("callback", {"timeout": 100, "heartbeat": 30})
    callback = callback_of(server, arn)
    for _ in range(3):
        server.advance("25s")
        aws.send_durable_execution_callback_heartbeat(CallbackId=callback)
    assert types(server.history(arn))[-1] == "InvocationCompleted", "heartbeats leave no event"
    server.advance("25s")
    timed_out = details(server.wait_for_event(arn, "CallbackTimedOut"))
    assert timed_out["Error"]["Payload"]["ErrorType"] == "Callback.Timeout", "the total is not extended"


def test_missed_heartbeat(server, aws, functions):
    arn = server.suspended("callback", {"timeout": 100, "heartbeat": 30})
    aws.send_durable_execution_callback_heartbeat(CallbackId=callback_of(server, arn))
    server.advance("31s")
    timed_out = details(server.wait_for_event(arn, "CallbackTimedOut"))
    assert timed_out["Error"]["Payload"] == {
        "ErrorType": "Callback.Heartbeat",
        "ErrorMessage": "Callback timed out on heartbeat",
    }


def test_f16_callback_timeout_in_a_child_context(server, functions):
    arn = server.suspended("callback-in-context")
    server.advance("15s")
    events = server.wait_for_end(arn)
    assert types(events) == [
        "ExecutionStarted",
        "ContextStarted",
        "CallbackStarted",
        "InvocationCompleted",
        "CallbackTimedOut",
        "ContextFailed",
        "InvocationCompleted",
        "ExecutionFailed",
    ]


def test_callback_ids_that_are_none(aws, functions):
    status, code, _ = error_of(aws.send_durable_execution_callback_success, CallbackId="bm90aGluZw==")
    assert (status, code) in [(404, "ResourceNotFoundException"), (400, "InvalidParameterValueException")]
    status, code, _ = error_of(aws.send_durable_execution_callback_success, CallbackId="not base64!")
    assert status == 400


def test_two_executions_do_not_share_a_callback(server, aws, functions):
    first, second = (server.suspended("callback") for _ in range(2))
    assert callback_of(server, first) != callback_of(server, second)
    aws.send_durable_execution_callback_success(CallbackId=callback_of(server, second), Result=b"second")
    assert json.loads(details(server.wait_for_end(second)[-1])["Result"]["Payload"]) == {"answer": "second"}
    assert server.execution(first)["Status"] == "RUNNING"


# Stop


def test_stop(server, aws, functions):
    arn = server.suspended("wait")
    error = {"ErrorType": "Enough", "ErrorMessage": "of this"}
    first = aws.stop_durable_execution(DurableExecutionArn=arn, Error=error)
    execution = server.execution(arn)
    assert (execution["Status"], execution["Error"]) == ("STOPPED", error)
    assert execution["EndTimestamp"] == first["StopTimestamp"]
    again = aws.stop_durable_execution(DurableExecutionArn=arn, Error={"ErrorMessage": "other"})
    assert again["StopTimestamp"] == first["StopTimestamp"], "idempotent"
    assert server.execution(arn)["Error"] == error
    server.advance("120s")
    events = server.history(arn)
    assert types(events)[-3:] == ["WaitStarted", "InvocationCompleted", "ExecutionStopped"]
    assert details(events[-1])["Error"]["Payload"] == error


def test_f15_stop_in_the_middle_of_a_step(server, aws, functions, tmp_path):
    """Stopped at once; the handler runs on to its end, and what it reports is refused."""
    log = tmp_path / "log"
    arn = server.start_execution("slow-step", {"log": str(log), "seconds": 3})
    wait_for(lambda: log.exists() and "slow" in log.read_text(), "the step to run")
    wait_for(lambda: types(server.history(arn)).count("StepStarted") == 2, "the start of the step to be recorded")
    aws.stop_durable_execution(DurableExecutionArn=arn)
    events = server.history(arn)
    assert types(events)[-2:] == ["StepStarted", "ExecutionStopped"], "the operation stays started"
    wait_for(lambda: "woke" in log.read_text(), "the handler to run on")
    aws.invoke(FunctionName="echo", Qualifier="$LATEST")  # time for a late checkpoint to be refused
    assert server.history(arn) == events, "nothing follows the end"
    assert log.read_text().split() == ["before", "slow", "woke"], "and it is not invoked again"


def test_stop_of_a_finished_execution(server, aws, functions):
    arn = server.start_execution("echo")
    server.wait_for_end(arn)
    stopped = aws.stop_durable_execution(DurableExecutionArn=arn)
    execution = server.execution(arn)
    assert execution["Status"] == "SUCCEEDED"
    assert stopped["StopTimestamp"] == execution["EndTimestamp"]


# Names


def test_names(server, aws, functions):
    """The rows of the idempotency table."""
    payload = {"seconds": 600}
    unnamed = {server.start_execution("wait", payload) for _ in range(2)}
    assert len(unnamed) == 2, "without a name each start is a new one"
    arn = server.start_execution("wait", payload, name="named")
    assert arn.split("/")[-2] == "named"
    assert server.start_execution("wait", payload, name="named") == arn, "running, same payload"
    refused = (409, "DurableExecutionAlreadyStartedException")
    for kind in ("Event", "RequestResponse"):
        outcome = error_of(
            aws.invoke,
            FunctionName="wait",
            Qualifier="$LATEST",
            InvocationType=kind,
            DurableExecutionName="named",
            Payload=b'{"seconds": 601}',
        )
        assert outcome[:2] == refused, "running, other payload"
    server.wait_until_suspended(arn)
    server.advance("600s")
    events = server.wait_for_end(arn)
    assert server.start_execution("wait", payload, name="named") == arn, "ended, same payload"
    answer = aws.invoke(
        FunctionName="wait", Qualifier="$LATEST", DurableExecutionName="named", Payload=json.dumps(payload).encode()
    )
    assert answer["DurableExecutionArn"] == arn
    assert json.loads(answer["Payload"].read()) == {"begun": "one", "ended": "one"}, "the stored outcome"
    outcome = error_of(
        aws.invoke, FunctionName="wait", Qualifier="$LATEST", DurableExecutionName="named", Payload=b"{}"
    )
    assert outcome[:2] == refused, "ended, other payload"
    assert server.history(arn) == events


def test_the_same_name_for_two_functions(server, functions):
    one = server.start_execution("echo", name="shared")
    other = server.start_execution("raw", {"answer": {"Status": "SUCCEEDED"}}, name="shared")
    assert one != other


@pytest.mark.parametrize("bad", ["with space", "x" * 65, "a/b"])
def test_bad_names(server, functions, bad):
    path = "/2015-03-31/functions/echo/invocations"
    headers = signed(server, "POST", path, b"{}", "Qualifier=%24LATEST", {"X-Amz-Durable-Execution-Name": bad})
    answer = send(server, "POST", path + "?Qualifier=%24LATEST", headers, b"{}")
    assert (answer.status, answer.code) == (400, "ValidationException")
