"""Proves that flows survive a kill of durastack: nothing is lost, doubled or done again.

In every place that an execution can be in, the server is killed and started again with the
same data. Nobody touches it then, except to report the callback: the flow ends with the same
output and history as an undisturbed run, and no finished task runs again.
"""

import json
import re
import time

import flows
import pytest
from fnf import ByHand, Tea, assert_sound, detail, types
from harness import wait_for

SECONDS = 3  # real seconds: long enough to be killed in, short enough to wait for
# Branches and iterations run side by side, so their events may interleave differently.
SIDE_BY_SIDE = ("parallel", "foreach")


def lines_of(path):
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def outline(events, log):
    """A history without what differs from run to run: times, tokens, made-up names, and the folder of the test."""
    names = {event["EventId"]: (event["Type"], event["StepName"]) for event in events}
    rows = []
    for event in events:
        text = json.dumps(scrubbed(detail(event)), sort_keys=True).replace(str(log), "<log>")
        rows.append((event["Type"], event["StepName"], names.get(event["ScheduleEventId"]), text))
    return rows


def scrubbed(value):
    if isinstance(value, dict):
        random = ("token", "run", "RequestId", "ExecutionName", "Name", "StartedTime", "StoppedTime")
        return {key: "<random>" if key in random else scrubbed(each) for key, each in value.items()}
    return [scrubbed(each) for each in value] if isinstance(value, list) else value


def same(place, one, other):
    """Whether two outlines tell the same story."""
    if place in SIDE_BY_SIDE:
        # Of a container, which branch ended last is chance, too.
        one, other = ([row[:2] + row[3:] for row in rows] for rows in (one, other))
        return sorted(one) == sorted(other)
    return one == other


def run(server, place, name, folder, disturb):
    """One execution from start to end; returns its output, history, its child's history, and what its functions did."""
    fnf, log = Tea(server), folder / f"{name}.log"
    _, event, step = flows.places(SECONDS)[place]
    payload = {"log": str(log), "items": [1, 2], "seconds": SECONDS}
    fnf.start("flow", payload, name=name)
    fnf.event("flow", name, event, step)
    if place == "task":
        wait_for(lambda: "slow" in lines_of(log), "the function to run")
    if place == "sub-flow":
        fnf.event("child", name, "StepStarted", "pause")
    seen = fnf.history("flow", name)
    disturb()
    assert fnf.history("flow", name)[: len(seen)] == seen, "what was told is kept"
    if place == "callback":
        assert fnf.succeed(token(seen), {"reported": True}) == len(seen) + 1
    if place == "task" and lines_of(log).count("slow") == 1 and disturb is nothing:
        (folder / f"{name}.log.go").touch()
    output = fnf.output("flow", name, seconds=60)
    events = fnf.history("flow", name)
    assert_sound(events)
    child = fnf.history("child", name) if place == "sub-flow" else []
    return output, outline(events, log), outline(child, log), lines_of(log)


def token(events):
    scheduled = next(event for event in events if event["Type"] == "TaskScheduled" and event["StepName"] == "ask")
    return detail(scheduled)["input"]["token"]


def nothing():
    pass


@pytest.mark.parametrize("place", flows.PLACES)
def test_killed_in_every_place(fresh_server, tmp_path, place):
    server = fresh_server
    fnf = ByHand(server)
    fnf.create("flow", flows.places(SECONDS)[place][0])
    fnf.create("child", flows.CHILD)
    calm = run(server, place, "calm", tmp_path, nothing)

    def crash():
        server.kill9()
        server.start()

    output, events, child, lines = run(server, place, "killed", tmp_path, crash)
    assert output == calm[0]
    assert same(place, events, calm[1])
    assert same(place, child, calm[2])
    again = ["slow"] if place == "task" else []  # it was under way, so it may run twice
    assert sorted(lines) == sorted([*calm[3], *again]), "no finished task ran again"


def test_a_wait_that_ends_while_nobody_is_there(fresh_server, tmp_path):
    server = fresh_server
    fnf = Tea(server)
    fnf.create("wait", flows.WAIT)
    execution = fnf.start("wait", {"seconds": 2})
    fnf.event("wait", execution, "StepStarted", "pause")
    server.kill9()
    time.sleep(2.5)  # real time: this is about a process that is gone
    server.start()
    assert fnf.output("wait", execution) == {"rested": True}


def test_what_was_answered_is_kept(fresh_server):
    """Killed right after each answer: flows, executions, reports, stops."""
    server = fresh_server
    fnf = Tea(server)

    def again():
        server.kill9()
        server.start()

    created = fnf.create("kept", flows.CALLBACK)
    again()
    assert fnf.call("DescribeFlow", Name="kept")["Id"] == created["Id"]
    updated = fnf.call("UpdateFlow", Name="kept", Description="said")
    again()
    found = fnf.call("DescribeFlow", Name="kept")
    assert (found["Description"], found["LastModifiedTime"]) == ("said", updated["LastModifiedTime"])
    begun = fnf.call("StartExecution", FlowName="kept", ExecutionName="one", Input='{"order": 1}')
    again()
    assert fnf.execution("kept", "one")["StartedTime"] == begun["StartedTime"]
    key = fnf.token("kept", "one", "ask")
    number = fnf.succeed(key, {"yes": True})
    again()
    assert fnf.output("kept", "one") == {"yes": True}
    assert fnf.history("kept", "one")[number - 1]["Type"] == "TaskSucceeded"
    assert fnf.refused("ReportTaskSucceeded", TaskToken=key, Output="{}")[1] == "TaskAlreadyCompleted"
    fnf.start("kept", {"order": 2}, name="two")
    fnf.token("kept", "two", "ask")
    stopped = fnf.stop("kept", "two", Error="Enough")
    again()
    found = fnf.ended("kept", "two")
    assert (found["Status"], found["StoppedTime"]) == ("Stopped", stopped["StoppedTime"])
    assert fnf.refused("StartExecution", FlowName="kept", ExecutionName="two")[1] == "ExecutionAlreadyExists"
    fnf.call("DeleteFlow", Name="kept")
    again()
    assert fnf.call("ListFlows")["Flows"] == []


def test_killed_while_a_token_is_handed_on(fresh_server, tmp_path):
    """The function that gets the token is run again, and is given the same one."""
    server, log = fresh_server, tmp_path / "log"
    fnf = Tea(server)
    inputs = {"log": "$input.log", "word": "slow", "token": "$context.task.token"}
    fnf.create("ask", flows.HEAD + flows.task("ask", "slow", "waitForCallback", inputs))
    fnf.start("ask", {"log": str(log)}, name="one")
    wait_for(lambda: "slow" in lines_of(log), "the function to run")
    before = fnf.history("ask", "one")
    key = token(before)
    server.kill9()
    server.start()
    fnf.event("ask", "one", "TaskSubmitted")
    events = fnf.history("ask", "one")
    assert events[: len(before)] == before
    assert types(events) == ["ExecutionStarted", "StepEntered", "TaskScheduled", "TaskStarted", "TaskSubmitted"]
    assert lines_of(log) == ["slow", "slow"]
    assert fnf.succeed(key, {"answered": True}) == 6
    assert fnf.output("ask", "one") == {"answered": True}


def test_a_graceful_stop_is_no_crash(fresh_server, tmp_path):
    """SIGTERM while a function runs: it ends, is run again, and the history does not show it."""
    server, log = fresh_server, tmp_path / "log"
    fnf = Tea(server)
    fnf.create("flow", flows.places(SECONDS)["task"][0])
    fnf.start("flow", {"log": str(log)}, name="one")
    wait_for(lambda: "slow" in lines_of(log), "the function to run")
    begin = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begin < 10
    server.start()
    assert fnf.output("flow", "one") == {"before": True, "slow": True, "after": True}
    assert types(fnf.history("flow", "one")).count("TaskStarted") == 3
    assert re.sub(r"(slow )+", "slow ", " ".join(lines_of(log))) == "before slow after"


def test_killed_again_and_again(fresh_server, tmp_path):
    """Thirty executions in all places at once, killed five times at no particular moment."""
    server = fresh_server
    fnf = Tea(server)
    fnf.create("child", flows.CHILD)
    kinds = [place for place in flows.PLACES if place not in ("callback", "task")]
    for place in kinds:
        fnf.create(place, flows.places(SECONDS)[place][0])
    runs = [(kinds[number % len(kinds)], f"run-{number}") for number in range(30)]
    for place, name in runs:
        fnf.start(place, {"log": str(tmp_path / name), "items": [1, 2], "seconds": SECONDS}, name=name)
    for _ in range(5):
        time.sleep(0.7)  # real time: wherever that finds it
        server.kill9()
        server.start()
    for place, name in runs:
        fnf.output(place, name, seconds=90)
        events = fnf.history(place, name)
        assert_sound(events)
        ended = [event["StepName"] for event in events if event["Type"] == "TaskSucceeded"]
        lines = lines_of(tmp_path / name)
        for step in set(ended):
            assert lines.count(step) >= ended.count(step) or step == "child"
