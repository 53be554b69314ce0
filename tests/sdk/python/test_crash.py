"""Proves that nothing acknowledged is lost when durastack is killed, and that all goes on by itself.

The order is run once undisturbed and then once more for every checkpoint it makes, with a
`kill -9` before or after that checkpoint; then kills at other moments. After a restart with
the same data the outcome and the public history are those of the undisturbed run, steps
whose success was acknowledged never run again, and no function outlives the kill.
"""

import json
import os
import signal
import subprocess
import time

import pytest
import workflows
from harness import BINARY, ORDER, ORDER_RESULT, processes_with, wait_for
from histories import details, golden, invocations, normalise, operations, types
from proxy import Proxy

CHECKPOINTS_MAX = 60  # far more than the order makes; a bound for the loop
STRIDE = int(os.environ.get("CRASH_STRIDE", "1"))  # 5 tries only every fifth checkpoint, for a quick look


def lines_of(path):
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def crash(server, marker):
    """Kills the server; fails if one of its functions lives on. `marker` is part of their environment."""
    server.kill9()
    assert_no_heirs(marker)


def assert_no_heirs(marker):
    wait_for(lambda: not processes_with(marker), f"functions of the killed server to end ({marker})", seconds=5)


# Every checkpoint of the order


@pytest.mark.parametrize("when", ["before", "after"])
def test_every_checkpoint(fresh_server, language, when, tmp_path):
    server, log = fresh_server, tmp_path / "steps"
    with Proxy(server) as proxy:
        environment = {"CHECKPOINT_PROXY": proxy.url, "STEP_LOG": str(log), "LOOKUP_SECONDS": "0.3"}
        function = server.deploy_order(language, env=environment, wrapper=True)
        impatient = server.client(attempts=1)

        def run(name):
            log.unlink(missing_ok=True)
            arn = server.start_execution(function, ORDER, name=name)
            events = server.drive(arn, before_poll=revive, aws=impatient)
            assert json.loads(server.execution(arn)["Result"]) == ORDER_RESULT
            return events, lines_of(log)

        restarts = 0

        def revive():
            nonlocal restarts
            if proxy.killed.is_set() and restarts == 0:
                assert_no_heirs(str(log))
                server.start()
                restarts += 1

        undisturbed, steps = run("undisturbed")
        assert normalise(undisturbed) == golden(f"order-{language}")
        checkpoints = proxy.checkpoints
        assert 10 < checkpoints < CHECKPOINTS_MAX, checkpoints

        for kill_at in range(1, checkpoints + 1, STRIDE):
            restarts = 0
            proxy.arm(kill_at, when)
            events, ran = run(f"killed-{when}-{kill_at}")
            place = f"killed {when} checkpoint {kill_at} of {checkpoints}"
            if not proxy.killed.is_set():
                # Checkpoints may be batched differently from run to run, so the last ones may not come.
                assert kill_at > checkpoints - 5, f"{place}: only {proxy.checkpoints} were made"
                break
            assert operations(normalise(events)) == operations(golden(f"order-{language}")), place
            # One more or less where the price came while the restarted function was still waking up.
            assert abs(invocations(events) - invocations(undisturbed)) <= 1, place
            assert "Error" not in str(
                [line for line in normalise(events) if line.get("EventType") == "InvocationCompleted"]
            ), place
            assert [event["EventId"] for event in events] == list(range(1, len(events) + 1)), place
            for step in set(proxy.acknowledged) & set(steps):
                assert ran.count(step) == steps.count(step), f"{place}: {step} ran again"
            assert len(ran) <= len(steps) + 2, f"{place}: at most the steps in flight run twice, but: {ran}"


# Other moments


def test_in_a_step(fresh_server, tmp_path):
    server, log = fresh_server, tmp_path / "log"
    server.deploy("slow", workflows.SLOW_STEP, env={"MARKER": str(log)})
    arn = server.start_execution("slow", {"log": str(log), "seconds": 60})
    wait_for(lambda: "slow" in lines_of(log), "the step to run")
    wait_for(lambda: types(server.history(arn)).count("StepStarted") == 2, "its start to be recorded")
    crash(server, str(log))
    server.start()
    events = server.wait_for_end(arn)
    assert types(events) == [
        "ExecutionStarted",
        "StepStarted",
        "StepSucceeded",
        "StepStarted",
        "StepSucceeded",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ], "the lost invocation is not shown"
    assert details(events[4])["RetryDetails"]["CurrentAttempt"] == 1, "and not counted"
    assert lines_of(log).count("before") == 1
    assert lines_of(log).count("slow") == 2


def test_in_a_step_that_must_not_run_twice(fresh_server, tmp_path):
    """It is not run again: the SDK reports it as interrupted, in its first attempt."""
    server, log = fresh_server, tmp_path / "log"
    server.deploy("once", workflows.ONCE, env={"MARKER": str(log)})
    arn = server.start_execution("once", {"log": str(log), "seconds": 60})
    wait_for(lambda: "slow" in lines_of(log), "the step to run")
    crash(server, str(log))
    server.start()
    events = server.wait_for_end(arn)
    assert types(events) == [
        "ExecutionStarted",
        "StepStarted",
        "StepFailed",
        "InvocationCompleted",
        "ExecutionFailed",
    ]
    failed = details(events[2])
    assert failed["RetryDetails"] == {"CurrentAttempt": 1}
    assert "interrupted" in str(failed["Error"]["Payload"]).lower()
    assert lines_of(log) == ["slow"]


def test_in_a_wait(fresh_server, tmp_path):
    server, log = fresh_server, tmp_path / "log"
    server.deploy("wait", workflows.WAIT)
    arn = server.start_execution("wait", {"log": str(log), "seconds": 600})
    before = server.wait_until_suspended(arn)
    server.kill9()
    server.start()
    assert server.history(arn) == before, "a restart alone changes nothing"
    assert server.execution(arn)["Status"] == "RUNNING"
    server.advance("600s")
    events = server.wait_for_end(arn)
    assert events[: len(before)] == before
    assert lines_of(log) == ["first", "second"]


def test_a_wait_that_ends_while_nobody_is_there(fresh_server):
    server = fresh_server
    server.deploy("wait", workflows.WAIT)
    arn = server.start_execution("wait", {"seconds": 2})
    server.wait_until_suspended(arn)
    server.kill9()
    time.sleep(2.5)  # real time: this is about a process that is gone
    server.start()
    server.wait_for_end(arn)
    assert server.execution(arn)["Status"] == "SUCCEEDED"


def test_waiting_for_a_callback(fresh_server):
    server = fresh_server
    server.deploy("callback", workflows.CALLBACK)
    arn = server.start_execution("callback", {"timeout": 1000, "heartbeat": 100})
    callback = details(server.wait_for_event(arn, "CallbackStarted"))["CallbackId"]
    server.wait_until_suspended(arn)
    server.advance("90s")
    server.aws.send_durable_execution_callback_heartbeat(CallbackId=callback)
    server.kill9()
    server.start()
    server.advance("90s")
    assert types(server.history(arn))[-1] == "InvocationCompleted", "the acknowledged heartbeat counts"
    server.aws.send_durable_execution_callback_success(CallbackId=callback, Result=b"yes")
    server.kill9()
    server.start()
    events = server.wait_for_end(arn)
    assert json.loads(server.execution(arn)["Result"]) == {"answer": "yes"}, "the acknowledged answer counts"
    assert types(events)[3:] == ["CallbackSucceeded", "InvocationCompleted", "ExecutionSucceeded"]


def test_in_a_chained_invoke(fresh_server, language, tmp_path):
    server, log = fresh_server, tmp_path / "steps"
    function = server.deploy_order(language, env={"LOOKUP_SECONDS": "3", "STEP_LOG": str(log), "RETRY_SECONDS": "1"})
    arn = server.start_execution(function, ORDER)
    server.wait_for_event(arn, "ChainedInvokeStarted")
    server.wait_until_suspended(arn)
    crash(server, str(log))
    server.start()
    events = server.drive(arn)
    assert json.loads(server.execution(arn)["Result"]) == ORDER_RESULT
    assert operations(normalise(events)) == operations(golden(f"order-{language}"))
    assert lines_of(log).count("check-order") == 1


def test_parent_and_child_find_each_other_again(fresh_server):
    server = fresh_server
    server.deploy("callback", workflows.CALLBACK)
    server.deploy("caller", workflows.CALLER)
    arn = server.start_execution("caller", {"function": "callback:$LATEST", "payload": {}})
    child = details(server.wait_for_event(arn, "ChainedInvokeStarted"))["DurableExecutionArn"]
    callback = details(server.wait_for_event(child, "CallbackStarted"))["CallbackId"]
    server.wait_until_suspended(child)
    server.wait_until_suspended(arn)
    server.kill9()
    server.start()
    server.aws.send_durable_execution_callback_success(CallbackId=callback, Result=b"yes")
    server.wait_for_end(arn)
    assert json.loads(server.execution(arn)["Result"]) == {"said": {"answer": "yes"}}


def test_fifty_in_flight(fresh_server, tmp_path):
    """Killed three times while fifty executions run, wait and queue for a process."""
    server = fresh_server
    server.deploy("wait", workflows.WAIT, env={"MARKER": str(tmp_path)})
    logs = [tmp_path / f"log-{number}" for number in range(50)]
    arns = [
        server.start_execution("wait", {"log": str(log), "seconds": 600}, name=f"run-{number}")
        for number, log in enumerate(logs)
    ]
    for least in (5, 20):
        wait_for(lambda least=least: sum(log.exists() for log in logs) >= least, f"{least} to have begun", seconds=90)
        crash(server, str(tmp_path))
        server.start()
    for arn in arns:
        server.wait_until_suspended(arn, seconds=120)
    recorded = [lines_of(log).count("first") for log in logs]
    server.advance("600s")
    wait_for(lambda: sum("second" in lines_of(log) for log in logs) >= 10, "ten to have ended", seconds=90)
    crash(server, str(tmp_path))
    server.start()
    for arn, log, first in zip(arns, logs, recorded, strict=True):
        events = server.wait_for_end(arn, seconds=120)
        assert types(events) == [
            "ExecutionStarted",
            "StepStarted",
            "StepSucceeded",
            "WaitStarted",
            "InvocationCompleted",
            "WaitSucceeded",
            "StepStarted",
            "StepSucceeded",
            "InvocationCompleted",
            "ExecutionSucceeded",
        ], arn
        assert lines_of(log).count("first") == first, "recorded before the last kill, so not run again"
        assert lines_of(log).count("second") in (1, 2)
    listed = server.aws.list_durable_executions_by_function(FunctionName="wait", Statuses=["SUCCEEDED"])
    assert len(listed["DurableExecutions"]) == 50


def test_what_was_answered_is_kept(fresh_server):
    """Killed right after the answer, each time: functions, versions, aliases, settings, stops, the clock."""
    server = fresh_server

    def again():
        server.kill9()
        server.start()
        return server.aws

    arn = server.deploy("kept", workflows.CALLBACK)
    assert again().get_function(FunctionName="kept")["Configuration"]["FunctionArn"] == arn
    server.aws.update_function_configuration(FunctionName="kept", Description="said")
    assert again().get_function_configuration(FunctionName="kept")["Description"] == "said"
    server.aws.get_waiter("function_updated_v2").wait(FunctionName="kept")
    server.aws.publish_version(FunctionName="kept")
    assert len(again().list_versions_by_function(FunctionName="kept")["Versions"]) == 2
    server.aws.create_alias(FunctionName="kept", Name="live", FunctionVersion="1")
    assert again().get_alias(FunctionName="kept", Name="live")["FunctionVersion"] == "1"
    execution = server.start_execution("kept", {}, name="one", qualifier="live")
    assert again().get_durable_execution(DurableExecutionArn=execution)["Status"] == "RUNNING"
    server.wait_until_suspended(execution)
    server.advance("30m")
    _, clock = server.admin("GET", "clock")
    again()
    _, later = server.admin("GET", "clock")
    assert later["now"] >= clock["now"], "the clock never runs backwards"
    server.aws.stop_durable_execution(DurableExecutionArn=execution)
    assert again().get_durable_execution(DurableExecutionArn=execution)["Status"] == "STOPPED"
    server.aws.delete_function(FunctionName="kept")
    names = [function["FunctionName"] for function in again().list_functions()["Functions"]]
    assert "kept" not in names


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_graceful_stop_is_no_crash(fresh_server, name, tmp_path):
    """In the middle of a step: it ends within two seconds, with its functions, and the history does not show it."""
    server, log = fresh_server, tmp_path / "log"
    server.deploy("slow", workflows.SLOW_STEP, env={"MARKER": str(log)})
    arn = server.start_execution("slow", {"log": str(log), "seconds": 60})
    wait_for(lambda: "slow" in lines_of(log), "the step to run")
    wait_for(lambda: types(server.history(arn)).count("StepStarted") == 2, "its start to be recorded")
    assert processes_with(str(log)), "the function runs"
    begin = time.monotonic()
    assert server.stop(signal.Signals[name]) == 0
    took = time.monotonic() - begin
    assert processes_with(str(log)) == [], "a function is left"
    assert took < 2, f"{took:.2f} s"
    server.start()
    events = server.wait_for_end(arn)
    assert types(events).count("InvocationCompleted") == 1


def test_one_folder_has_one_process(fresh_server):
    """A second durastack on the same data says so and ends; the first goes on."""
    server = fresh_server
    second = subprocess.run(
        [BINARY, "start", "--port", "0", "--data", server.folder / "data"],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=server.folder,
    )
    assert second.returncode != 0
    assert str(server.folder / "data") in second.stderr + second.stdout
    server.aws.list_functions()


def test_an_approved_order_survives_in_the_middle_of_everything(fresh_server, language):
    """The shortest summary of this file: kill it whenever it rests, and the order is still shipped."""
    server = fresh_server
    function = server.deploy_order(language)
    arn = server.start_execution(function, ORDER)
    seen = 0
    for _ in range(20):
        events = wait_for(lambda seen=seen: ended_or_resting(server, arn, seen), "the order to go on")
        if events[-1]["EventType"] == "ExecutionSucceeded":
            break
        seen = len(events)
        server.kill9()
        server.start()
        server.answer_what_is_open(events)
    assert normalise(server.history(arn)) == golden(f"order-{language}")


def ended_or_resting(server, arn, seen):
    events = server.history(arn)
    resting = events[-1]["EventType"] in ("InvocationCompleted", "ExecutionSucceeded")
    return events if resting and len(events) > seen else None
