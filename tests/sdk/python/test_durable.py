"""Proves that durable executions run and read as on the cloud, through the official SDKs.

The order in both languages against its golden history; chained invokes; versions, timeouts
and retention; reading executions, histories and lists. Time moves by `advance`, not by waiting.
"""

import json
import os
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
import workflows
from harness import APPROVED, ORDER, ORDER_RESULT, error_of, wait_for, zipped
from histories import details, golden, normalise, types
from signing import send, signed

DAY_SECONDS = 86400


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
    pinned = server.suspended(name, qualifier="live")
    floating = server.suspended(name)
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
    arn = server.suspended(name, qualifier="1")
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
    running = server.suspended("open")
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


def test_a_turn_of_the_clock_reaches_a_wait_that_is_about_to_begin(fresh_server):
    """The month is counted from when the running function has come to rest, not from the request."""
    fresh_server.deploy("wait", workflows.WAIT, DurableConfig={"ExecutionTimeout": 40 * DAY_SECONDS})
    arn = fresh_server.start_execution("wait", {"log": os.devnull, "seconds": 30 * DAY_SECONDS})
    fresh_server.advance("30d")
    assert fresh_server.execution(arn)["Status"] == "SUCCEEDED"


def test_a_wait_of_a_month(fresh_server):
    server = fresh_server
    server.deploy("month", workflows.WAIT, DurableConfig={"ExecutionTimeout": 31000000, "RetentionPeriodInDays": 7})
    arn = server.suspended("month", {"seconds": 30 * DAY_SECONDS})
    server.advance("30d")
    server.wait_for_end(arn)
    execution = server.execution(arn)
    took = execution["EndTimestamp"] - execution["StartTimestamp"]
    assert timedelta(days=30) <= took < timedelta(days=30, minutes=1)
    assert execution["StartTimestamp"] - datetime.now(timezone.utc) < timedelta(minutes=1)


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
    arn = server.suspended("wait")
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


# Names that nearly fit


def test_every_part_of_an_arn_counts(server, aws, functions):
    """An ARN with the right id and anything else wrong names nothing, to read or to stop."""
    arn = server.suspended("callback", {})
    name = arn.split("/")[-2]
    wrong = [
        arn.replace(":function:callback:", ":function:wait:"),
        arn.replace(":$LATEST/", ":7/"),
        arn.replace(f"/{name}/", "/another/"),
        arn.replace(":us-east-1:", ":eu-west-1:"),
        arn.replace(":000000000000:", ":111111111111:"),
    ]
    for other in wrong:
        assert other != arn
        for call in (aws.get_durable_execution, aws.get_durable_execution_history, aws.stop_durable_execution):
            status, code, message = error_of(call, DurableExecutionArn=other)
            assert (status, code) == (404, "ResourceNotFoundException"), other
            assert other in message
    assert server.execution(arn)["Status"] == "RUNNING"


def test_a_callback_is_answered_where_it_is(server, aws, functions):
    arn = server.suspended("callback", {})
    callback = server.wait_for_event(arn, "CallbackStarted")["CallbackStartedDetails"]["CallbackId"]
    elsewhere = server.client(region="eu-west-1")
    status, code, _ = error_of(elsewhere.send_durable_execution_callback_success, CallbackId=callback)
    assert (status, code) == (404, "ResourceNotFoundException")
    aws.send_durable_execution_callback_success(CallbackId=callback)
    server.wait_for_end(arn)


def test_lengths_and_markers_are_refused_in_their_own_words(server, aws, functions):
    long = error_of(aws.invoke, FunctionName="callback:$LATEST", DurableExecutionName="n" * 65)
    assert long[1] == "ValidationException" and "length less than or equal to 64" in long[2]
    marker = error_of(aws.list_durable_executions_by_function, FunctionName="callback", Marker="nonsense")
    assert marker == (400, "InvalidParameterValueException", "Invalid marker")


def test_a_large_result_full_of_quotes(server, functions):
    """A result of just under 6 MB is that long, however many bytes its quotes take on their way in a checkpoint."""
    server.deploy("quotes", workflows.QUOTES)
    payload = json.dumps({"quotes": 1_500_000, "others": 3_291_420})
    answer = server.client(attempts=1).invoke(FunctionName="quotes:$LATEST", Payload=payload)
    assert "FunctionError" not in answer
    assert len(answer["Payload"].read()) == 6_291_422
