"""Proves that durable executions run, look and end as on the cloud, through the official SDKs.

The order in both languages against its golden history; reading executions, lists and pages;
callbacks; stop; names; tokens; timeouts; retention. Time moves by `advance`, never by waiting.
"""

import json
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
import workflows
from harness import APPROVED, ORDER, ORDER_RESULT, error_of, wait_for, zipped
from histories import details, golden, normalise, types
from signing import send, signed

DAY_SECONDS = 86400


@pytest.fixture(scope="module")
def functions(server):
    """One function for each small workflow; names as in workflows.py, in lower case."""
    for each in ("ECHO", "WAIT", "CALLBACK", "CALLBACK_IN_CONTEXT", "SLOW_STEP", "RAW", "CRASHING", "CALLER"):
        server.deploy(each.lower().replace("_", "-"), getattr(workflows, each))


def suspended(server, function, payload=None, **more):
    """Starts an execution and waits until its first invocation has ended."""
    arn = server.start_execution(function, payload, **more)
    server.wait_until_suspended(arn)
    return arn


# The order


@pytest.fixture(scope="module")
def orders(server):
    return {}


@pytest.fixture
def order(server, orders, language):
    """The name of the order function, published with the alias `live` on version 1."""
    if language not in orders:
        orders[language] = server.deploy_order(language)
        server.aws.publish_version(FunctionName=orders[language])
        server.aws.create_alias(FunctionName=orders[language], Name="live", FunctionVersion="1")
    return orders[language]


def test_order(server, aws, order, language):
    arn = server.start_execution(order, ORDER, name=f"whole-{language}", qualifier="live")
    events = server.drive(arn)
    assert normalise(events) == golden(f"order-{language}")
    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))
    stamps = [event["EventTimestamp"] for event in events]
    assert stamps == sorted(stamps)

    account = "arn:aws:lambda:us-east-1:000000000000:function"
    assert arn.startswith(f"{account}:{order}:1/durable-execution/whole-{language}/"), "the alias is resolved"
    execution = server.execution(arn)
    assert execution["Status"] == "SUCCEEDED"
    assert json.loads(execution["Result"]) == ORDER_RESULT
    assert json.loads(execution["InputPayload"]) == ORDER
    assert execution["FunctionArn"] == f"{account}:{order}:1"
    assert execution["Version"] == "1"
    assert execution["DurableExecutionName"] == f"whole-{language}"
    assert execution["EndTimestamp"] >= execution["StartTimestamp"] + timedelta(seconds=120), "both pauses took 60 s"
    assert execution["DurableConfig"]["ExecutionTimeout"] == 3600
    assert "Error" not in execution and "ExpectedExecutionTimeoutTimestamp" not in execution


def test_order_details(server, order):
    """The members of each kind of event."""
    events = server.drive(server.start_execution(order, ORDER))
    for event in events:
        assert len([key for key in event if key.endswith("Details")]) == 1, event
    by_type = {}
    for event in events:
        by_type.setdefault(event["EventType"], []).append(details(event))
    started = by_type["ExecutionStarted"][0]
    assert started["ExecutionTimeout"] == 3600
    assert json.loads(started["Input"]["Payload"]) == ORDER and started["Input"]["Truncated"] is False
    assert by_type["StepFailed"][0]["RetryDetails"] == {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 60}
    assert by_type["StepFailed"][0]["Error"]["Payload"]["ErrorMessage"] == "the warehouse did not answer"
    assert by_type["WaitStarted"][0]["Duration"] == 60
    assert by_type["CallbackStarted"][0]["Timeout"] == 1800
    assert "HeartbeatTimeout" not in by_type["CallbackStarted"][0]
    assert by_type["CallbackSucceeded"][0]["Result"]["Payload"] == APPROVED.decode()
    chained = by_type["ChainedInvokeStarted"][0]
    assert chained["FunctionName"] == f"{order}-price"
    assert json.loads(chained["Input"]["Payload"]) == {"items": ORDER["items"]}
    assert "DurableExecutionArn" not in chained, "a plain target has none"
    assert json.loads(by_type["ChainedInvokeSucceeded"][0]["Result"]["Payload"])["total"] == 3480
    assert json.loads(by_type["ExecutionSucceeded"][0]["Result"]["Payload"]) == ORDER_RESULT
    requests = [invocation["RequestId"] for invocation in by_type["InvocationCompleted"]]
    assert len(set(requests)) == len(requests)
    assert all("Error" not in invocation for invocation in by_type["InvocationCompleted"])


def test_order_rejected(server, order):
    arn = server.start_execution(order, ORDER)
    server.drive(arn, answer=b'{"approved": false, "by": "Grace"}')
    result = json.loads(server.execution(arn)["Result"])
    assert result == {"orderId": "A-1001", "status": "REJECTED", "rejectedBy": "Grace"}


def test_order_that_nobody_approves(server, order):
    arn = server.start_execution(order, ORDER)
    server.wait_for_event(arn, "StepFailed")
    server.wait_until_suspended(arn)
    server.advance("60s")
    server.wait_for_event(arn, "CallbackStarted")
    server.wait_until_suspended(arn)
    server.advance("1800s")
    events = server.wait_for_end(arn)
    assert types(events)[-4:] == ["CallbackTimedOut", "ContextFailed", "InvocationCompleted", "ExecutionFailed"]
    assert server.execution(arn)["Status"] == "FAILED"


def test_synchronous_invoke_waits_through_suspensions(server, aws, functions):
    """200 with the result itself as the body, once the execution has ended."""
    answer = aws.invoke(FunctionName="wait", Qualifier="$LATEST", Payload=b'{"seconds": 1}')
    assert answer["StatusCode"] == 200 and "FunctionError" not in answer
    assert json.loads(answer["Payload"].read()) == {"begun": "one", "ended": "one"}
    assert "/durable-execution/" in answer["DurableExecutionArn"]
    assert answer["ExecutedVersion"] == "$LATEST"


def test_synchronous_invoke_of_a_failure(server, aws, functions):
    answer = aws.invoke(
        FunctionName="raw",
        Qualifier="$LATEST",
        Payload=json.dumps(
            {"answer": {"Status": "FAILED", "Error": {"ErrorType": "Own", "ErrorMessage": "m"}}}
        ).encode(),
    )
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    document = json.loads(answer["Payload"].read())
    assert (document["errorType"], document["errorMessage"]) == ("Own", "m")
    assert "/durable-execution/" in answer["DurableExecutionArn"]


def test_unqualified_invoke_is_refused(aws, functions):
    for kind in ("RequestResponse", "Event"):
        status, code, _ = error_of(aws.invoke, FunctionName="echo", InvocationType=kind)
        assert (status, code) == (400, "InvalidParameterValueException")


def test_dry_run_creates_nothing(aws, server, functions, name):
    server.deploy(name, workflows.ECHO)
    answer = aws.invoke(FunctionName=name, Qualifier="$LATEST", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert aws.list_durable_executions_by_function(FunctionName=name)["DurableExecutions"] == []


# Reading


def test_without_execution_data(server, functions):
    arn = server.start_execution("echo", {"secret": "s"})
    full = server.wait_for_end(arn)
    execution = server.execution(arn, IncludeExecutionData=False)
    assert execution["Status"] == "SUCCEEDED"
    assert execution["ExecutionDataIncluded"] is False
    assert not {"InputPayload", "Result", "Error"} & set(execution)
    assert server.execution(arn, IncludeExecutionData=True)["ExecutionDataIncluded"] is True
    bare = server.history(arn, IncludeExecutionData=False)
    assert types(bare) == types(full)
    assert "secret" not in json.dumps(bare, default=str)
    assert details(bare[0])["Input"] == {"Truncated": True}


def test_history_pages_and_order(server, aws, functions):
    arn = server.start_execution("echo")
    ids = [event["EventId"] for event in server.wait_for_end(arn)]
    assert ids == [1, 2, 3, 4, 5]
    page = aws.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=2)
    assert [event["EventId"] for event in page["Events"]] == [1, 2]
    rest = aws.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=10, Marker=page["NextMarker"])
    assert [event["EventId"] for event in rest["Events"]] == [3, 4, 5] and "NextMarker" not in rest
    newest = aws.get_durable_execution_history(DurableExecutionArn=arn, ReverseOrder=True, MaxItems=2)
    assert [event["EventId"] for event in newest["Events"]] == [5, 4], "newest first"
    older = aws.get_durable_execution_history(DurableExecutionArn=arn, ReverseOrder=True, Marker=newest["NextMarker"])
    assert [event["EventId"] for event in older["Events"]] == [3, 2, 1]


def test_a_history_marker_outlives_new_events(server, aws, functions):
    arn = suspended(server, "wait")
    page = aws.get_durable_execution_history(DurableExecutionArn=arn, MaxItems=3)
    marker = page["NextMarker"]
    server.advance("60s")
    server.wait_for_end(arn)
    rest = aws.get_durable_execution_history(DurableExecutionArn=arn, Marker=marker)
    assert [event["EventId"] for event in rest["Events"]][0] == 4
    assert rest["Events"][-1]["EventType"] == "ExecutionSucceeded"


def test_list(server, aws, name):
    server.deploy(name, workflows.WAIT)
    aws.publish_version(FunctionName=name)
    arns = []
    for number in range(5):
        arns.append(
            server.start_execution(
                name, {"seconds": 600}, name=f"run-{number}", qualifier="1" if number == 4 else "$LATEST"
            )
        )
        server.wait_until_suspended(arns[-1])
        server.advance("10s")
    aws.stop_durable_execution(DurableExecutionArn=arns[0])

    def listed(**options):
        pages = aws.get_paginator("list_durable_executions_by_function").paginate(FunctionName=name, **options)
        return [item["DurableExecutionName"] for page in pages for item in page["DurableExecutions"]]

    newest_first = [f"run-{number}" for number in (4, 3, 2, 1, 0)]
    assert listed() == newest_first, "all versions, newest first"
    assert listed(ReverseOrder=True) == newest_first[::-1], "true is oldest first, unlike in the history"
    assert listed(PaginationConfig={"PageSize": 2}) == newest_first
    assert listed(Qualifier="1") == ["run-4"]
    assert listed(Qualifier="$LATEST") == newest_first[1:]
    assert listed(Statuses=["STOPPED"]) == ["run-0"]
    assert listed(Statuses=["STOPPED", "RUNNING"]) == newest_first
    assert listed(Statuses=["FAILED"]) == []
    assert listed(DurableExecutionName="run-2") == ["run-2"]
    starts = [server.execution(arn)["StartTimestamp"] for arn in arns]
    middle = starts[2] - timedelta(seconds=5)
    assert listed(StartedAfter=middle) == newest_first[:3]
    assert listed(StartedBefore=middle) == newest_first[3:]
    one = aws.list_durable_executions_by_function(FunctionName=name, MaxItems=1)
    item = one["DurableExecutions"][0]
    assert (item["DurableExecutionArn"], item["Status"]) == (arns[4], "RUNNING")
    assert "EndTimestamp" not in item and one["NextMarker"]
    assert error_of(aws.list_durable_executions_by_function, FunctionName="nobody")[:2] == (
        404,
        "ResourceNotFoundException",
    )


def test_f10_arns_in_paths(server, functions):
    """As one encoded segment, with raw colons, and with raw slashes."""
    arn = server.start_execution("echo")
    server.wait_for_end(arn)
    for encoded in (quote(arn, safe=""), quote(arn, safe=":"), quote(arn, safe=":$"), arn):
        for suffix in ("", "/history"):
            path = f"/2025-12-01/durable-executions/{encoded}{suffix}"
            answer = send(server, "GET", path, signed(server, "GET", path))
            assert answer.status == 200, (path, answer.body)


def test_unknown_execution(server, aws, functions):
    arn = server.start_execution("echo")
    server.wait_for_end(arn)
    unknown = arn[:-4] + ("0000" if not arn.endswith("0000") else "1111")
    for call in (aws.get_durable_execution, aws.get_durable_execution_history, aws.stop_durable_execution):
        assert error_of(call, DurableExecutionArn=unknown)[:2] == (404, "ResourceNotFoundException"), call.__name__


# Callbacks


def callback_of(server, arn):
    return details(server.wait_for_event(arn, "CallbackStarted"))["CallbackId"]


@pytest.mark.parametrize("result", [b'{"a": 1}', b"plain text", "grün".encode(), b'"quoted"'])
def test_callback_success(server, aws, functions, result):
    arn = suspended(server, "callback")
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
    arn = suspended(server, "callback")
    aws.send_durable_execution_callback_success(CallbackId=callback_of(server, arn))
    events = server.wait_for_end(arn)
    assert "Payload" not in details(events[3])["Result"], "what is missing stays missing"
    assert json.loads(server.execution(arn)["Result"]) == {"answer": None}


def test_callback_failure(server, aws, functions):
    arn = suspended(server, "callback")
    error = {"ErrorType": "NotAllowed", "ErrorMessage": "no", "ErrorData": "d", "StackTrace": ["a", "b"]}
    aws.send_durable_execution_callback_failure(CallbackId=callback_of(server, arn), Error=error)
    events = server.wait_for_end(arn)
    assert types(events)[3:] == ["CallbackFailed", "InvocationCompleted", "ExecutionFailed"]
    assert details(events[3])["Error"]["Payload"] == error
    assert server.execution(arn)["Status"] == "FAILED"


def test_callback_failure_without_error(server, aws, functions):
    arn = suspended(server, "callback")
    aws.send_durable_execution_callback_failure(CallbackId=callback_of(server, arn))
    failed = details(server.wait_for_event(arn, "CallbackFailed"))
    assert failed["Error"].get("Payload", {}) == {}, "no invented message"


def test_callback_answered_twice(server, aws, functions):
    arn = suspended(server, "callback")
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
    arn = suspended(server, "callback", {"timeout": 100})
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
    arn = suspended(server, "callback", {"timeout": 100, "heartbeat": 30})
    callback = callback_of(server, arn)
    for _ in range(3):
        server.advance("25s")
        aws.send_durable_execution_callback_heartbeat(CallbackId=callback)
    assert types(server.history(arn))[-1] == "InvocationCompleted", "heartbeats leave no event"
    server.advance("25s")
    timed_out = details(server.wait_for_event(arn, "CallbackTimedOut"))
    assert timed_out["Error"]["Payload"]["ErrorType"] == "Callback.Timeout", "the total is not extended"


def test_missed_heartbeat(server, aws, functions):
    arn = suspended(server, "callback", {"timeout": 100, "heartbeat": 30})
    aws.send_durable_execution_callback_heartbeat(CallbackId=callback_of(server, arn))
    server.advance("31s")
    timed_out = details(server.wait_for_event(arn, "CallbackTimedOut"))
    assert timed_out["Error"]["Payload"] == {
        "ErrorType": "Callback.Heartbeat",
        "ErrorMessage": "Callback timed out on heartbeat",
    }


def test_f16_callback_timeout_in_a_child_context(server, functions):
    arn = suspended(server, "callback-in-context")
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
    first, second = (suspended(server, "callback") for _ in range(2))
    assert callback_of(server, first) != callback_of(server, second)
    aws.send_durable_execution_callback_success(CallbackId=callback_of(server, second), Result=b"second")
    assert json.loads(details(server.wait_for_end(second)[-1])["Result"]["Payload"]) == {"answer": "second"}
    assert server.execution(first)["Status"] == "RUNNING"


# Stop


def test_stop(server, aws, functions):
    arn = suspended(server, "wait")
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
    arn = suspended(server, name, {"seconds": 600})
    expected = server.execution(arn)["ExpectedExecutionTimeoutTimestamp"]
    assert expected - server.execution(arn)["StartTimestamp"] == timedelta(seconds=100)
    server.advance("100s")
    events = server.wait_for_end(arn)
    assert types(events)[-3:] == ["WaitStarted", "InvocationCompleted", "ExecutionTimedOut"]
    execution = server.execution(arn)
    assert execution["Status"] == "TIMED_OUT"
    assert execution["Error"]["ErrorMessage"] == "Execution timed out after 100 seconds."
    assert timedelta(0) <= execution["EndTimestamp"] - expected < timedelta(seconds=5)


# Chained invokes


def test_chained_durable_function(server, functions):
    arn = server.start_execution("caller", {"function": "echo:$LATEST", "payload": {"a": 1}})
    events = server.wait_for_end(arn)
    assert server.execution(arn)["Result"] == '{"said": {"a": 1}}'
    started = details(next(event for event in events if event["EventType"] == "ChainedInvokeStarted"))
    assert started["ExecutedVersion"] == "$LATEST"
    child = server.execution(started["DurableExecutionArn"])
    assert child["Status"] == "SUCCEEDED"


def test_chained_function_that_does_not_exist(server, functions):
    arn = server.start_execution("caller", {"function": "nobody"})
    events = server.wait_for_end(arn)
    assert types(events)[1:3] == ["ChainedInvokeStarted", "ChainedInvokeFailed"]
    assert details(events[2])["Error"]["Payload"]["ErrorType"] == "ResourceNotFoundException"
    assert server.execution(arn)["Status"] == "FAILED"


def test_chained_function_that_is_stopped(server, aws, functions):
    arn = server.start_execution("caller", {"function": "wait:$LATEST", "payload": {"seconds": 600}})
    child = details(server.wait_for_event(arn, "ChainedInvokeStarted"))["DurableExecutionArn"]
    server.wait_until_suspended(child)
    aws.stop_durable_execution(DurableExecutionArn=child, Error={"ErrorType": "Enough"})
    stopped = details(server.wait_for_event(arn, "ChainedInvokeStopped"))
    assert stopped["Error"]["Payload"] == {"ErrorType": "Enough"}
    server.wait_for_end(arn)


# Versions and retention


def test_f17_an_execution_keeps_its_version(server, aws, name):
    server.deploy(name, workflows.WAIT)
    aws.publish_version(FunctionName=name)
    aws.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    pinned = suspended(server, name, qualifier="live")
    floating = suspended(server, name)
    aws.update_function_code(FunctionName=name, ZipFile=zipped(workflows.WAIT.replace('"one"', '"two"')))
    aws.get_waiter("function_updated_v2").wait(FunctionName=name)
    aws.publish_version(FunctionName=name)
    aws.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    server.advance("60s")
    server.wait_for_end(pinned)
    server.wait_for_end(floating)
    assert json.loads(server.execution(pinned)["Result"]) == {"begun": "one", "ended": "one"}
    assert json.loads(server.execution(floating)["Result"]) == {"begun": "one", "ended": "two"}


def test_f17_deleting_the_version_fails_the_execution(server, aws, name):
    server.deploy(name, workflows.WAIT)
    aws.publish_version(FunctionName=name)
    arn = suspended(server, name, qualifier="1")
    aws.delete_function(FunctionName=name, Qualifier="1")
    server.advance("60s")
    server.wait_for_end(arn)
    execution = server.execution(arn)
    assert (execution["Status"], execution["Error"]["ErrorType"]) == ("FAILED", "ResourceNotFoundException")


def test_retention(fresh_server):
    """Readable for its days, then gone, and the name is free again. What runs does not expire."""
    server = fresh_server
    server.deploy("short", workflows.ECHO, DurableConfig={"ExecutionTimeout": 31000000, "RetentionPeriodInDays": 1})
    server.deploy("open", workflows.CALLBACK, DurableConfig={"ExecutionTimeout": 31000000, "RetentionPeriodInDays": 1})
    running = suspended(server, "open")
    arn = server.start_execution("short", {"a": 1}, name="named")
    server.wait_for_end(arn)
    server.advance("23h")
    assert server.execution(arn)["Status"] == "SUCCEEDED"
    server.advance("2h")

    def gone():
        return not server.aws.list_durable_executions_by_function(FunctionName="short")["DurableExecutions"]

    wait_for(gone, "the execution to expire")
    for call in (server.aws.get_durable_execution, server.aws.get_durable_execution_history):
        assert error_of(call, DurableExecutionArn=arn)[:2] == (404, "ResourceNotFoundException")
    fresh = server.start_execution("short", {"b": 2}, name="named")
    assert fresh != arn
    server.wait_for_end(fresh)
    assert server.execution(running)["Status"] == "RUNNING"


def test_a_wait_of_a_month(fresh_server):
    server = fresh_server
    server.deploy("month", workflows.WAIT, DurableConfig={"ExecutionTimeout": 31000000, "RetentionPeriodInDays": 7})
    arn = suspended(server, "month", {"seconds": 30 * DAY_SECONDS})
    server.advance("30d")
    server.wait_for_end(arn)
    execution = server.execution(arn)
    took = execution["EndTimestamp"] - execution["StartTimestamp"]
    assert timedelta(days=30) <= took < timedelta(days=30, minutes=1)
    assert execution["StartTimestamp"] - datetime.now(timezone.utc) < timedelta(minutes=1)
