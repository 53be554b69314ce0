"""Proves that both clouds live on one server: two hundred executions of each, and a kill in the middle."""

import json
import threading

import flows
import workflows
from botocore.exceptions import BotoCoreError, ClientError
from darabonba.exceptions import UnretryableException
from fnf import ByHand, Tea, assert_sound, types
from harness import wait_for

FLAGS = ["--processes", "4", "--function-logs", "off"]
COUNT = 200
SECONDS = 600
STEPS = [
    "ExecutionStarted",
    "StepEntered",
    "TaskScheduled",
    "TaskStarted",
    "TaskSucceeded",
    "StepExited",
    "StepEntered",
    "StepStarted",
    "StepSucceeded",
    "StepExited",
    "StepEntered",
    "StepStarted",
    "StepSucceeded",
    "StepExited",
    "ExecutionSucceeded",
]


def test_two_hundred_of_each(fresh_server, tmp_path):
    server = fresh_server
    fnf, look = Tea(server), ByHand(server)
    server.deploy("lambda", workflows.WAIT)
    greet = {"log": "$input.log", "word": "$context.execution.name"}
    pause = "  - {type: wait, name: pause, duration: $.seconds}\n  - {type: succeed, name: rested}\n"
    fnf.create("flow", flows.HEAD + flows.task("note", "note", inputs=greet) + pause)
    log = tmp_path / "log"
    arns = {}

    def start_both(number):
        name = f"run_{number}"
        payload = {"log": str(log), "seconds": SECONDS}
        fnf.start("flow", payload, name=name)
        arns[name] = server.start_execution("lambda", {"seconds": SECONDS}, name=name)

    def start_all():
        for number in range(COUNT):
            repeat(lambda number=number: start_both(number))

    starting = threading.Thread(target=start_all, daemon=True)
    starting.start()
    wait_for(lambda: len(arns) >= COUNT // 2, "half of them to be started", seconds=60)
    server.kill9()
    server.start()
    starting.join(timeout=180)
    assert len(arns) == COUNT

    pending = list(arns.values())

    def wait():
        """Whether all of both are in their wait."""
        while pending:
            if server.history(pending[-1])[-1]["EventType"] != "InvocationCompleted":
                return False
            pending.pop()
        return len(set(log.read_text(encoding="utf-8").split())) == COUNT

    wait_for(wait, "all of them to wait", seconds=180)
    for name in arns:
        look.event("flow", name, "StepStarted", "pause")
    server.advance(f"{SECONDS}s")
    for name, arn in arns.items():
        assert look.output("flow", name) == {name: True}
        events = look.history("flow", name)
        assert types(events) == STEPS
        assert_sound(events)
        server.wait_for_end(arn, seconds=90)
        assert json.loads(server.execution(arn)["Result"]) == {"begun": "one", "ended": "one"}
    listed = [
        execution["Name"]
        for page in fnf.pages("ListExecutions", "Executions", FlowName="flow", Status="Succeeded", Limit=50)
        for execution in page
    ]
    assert sorted(listed) == sorted(arns)
    pages = server.aws.get_paginator("list_durable_executions_by_function").paginate(
        FunctionName="lambda", Statuses=["SUCCEEDED"]
    )
    assert sum(len(page["DurableExecutions"]) for page in pages) == COUNT
    words = log.read_text(encoding="utf-8").split()
    # What was under way at the kill may have run twice: one for each process at most.
    assert len(words) <= COUNT + 4


def repeat(call):
    """Makes a call until it is answered: its names make a repetition harmless."""

    def answered():
        try:
            call()
        except (BotoCoreError, ClientError, UnretryableException, OSError):
            return False  # nobody was there
        return True

    wait_for(answered, "an answer", seconds=60)
