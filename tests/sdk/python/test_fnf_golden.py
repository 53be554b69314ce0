"""Proves that the flows of fixtures/flow come to what is written there, through the public API.

One server holds all cases, each in an account of its own. The script of a case is played on
the virtual clock: the clock stands still between its moments, as far as real time allows, and
a moment comes only when everything before it is in the history. Compared are status, output,
error and cause, why reports were refused, and the history but for its times.
"""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fnf import FINAL, ByHand, Refused, assert_sound, detail
from harness import ROOT, wait_for

CASES = sorted(path.parent for path in (ROOT / "fixtures" / "flow").glob("*/flow.yaml"))
REFUSALS = {"TaskCompleted": (400, "TaskAlreadyCompleted"), "TaskNotWaiting": (409, "TaskInvalidState")}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
TOKEN = re.compile(r"<token of event \d+>")

# A function that answers by its case's script. Its calls are numbered by files; an answer that takes its time comes
# when there is a file that says so.
PLAYER = """
import json, os, time

HERE = %(here)r
SCRIPT = json.loads(%(script)r)

class Scripted:
    pass

def handler(event, context):
    event = json.loads(event)
    number = 1
    while True:
        try:
            os.close(os.open("%%s/call-%%d" %% (HERE, number), os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            number += 1
    fitting = [answer for answer in SCRIPT if answer.get("when") == event and "when" in answer]
    rest = [answer for answer in SCRIPT if "when" not in answer]
    answer = fitting[0] if fitting else rest[min(number, len(rest)) - 1]
    while answer.get("after_s") and not os.path.exists("%%s/go-%%d" %% (HERE, number)):
        time.sleep(0.02)
    if "lost" in answer:
        os._exit(1)
    if "error" in answer:
        kind = type(answer["error"]["errorType"], (Exception,), {})
        raise kind(answer["error"]["errorMessage"])
    return answer["text"] if "text" in answer else answer["result"]
"""


def script_of(case):
    path = case / "functions.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def numbered(function, case):
    """The name of a case's function on the one server."""
    return f"{function}-{CASES.index(case)}"


def renamed(text, case):
    """A definition that calls the case's own functions."""
    return re.sub(r"(acs:fc:[^\s\"',}]*functions/)([A-Za-z_]+)", lambda m: m[1] + numbered(m[2], case), text)


def FUNCTIONS(folder):
    """All functions of all cases: real code where time or the event counts, else scripted replies."""
    all_functions = {}
    for case in CASES:
        for name, answers in script_of(case).get("functions", {}).items():
            if all(played(answer) for answer in answers):
                here = folder / "play" / numbered(name, case)
                here.mkdir(parents=True)
                what = PLAYER % {"here": str(here), "script": json.dumps(answers)}
            else:
                what = answers
            all_functions[numbered(name, case)] = what
    return all_functions


def played(answer):
    """Whether real code can give this answer."""
    return bool({"result", "text", "lost"} & answer.keys()) or "errorType" in answer.get("error", {})


class Play:
    """One case, from its start to its end."""

    def __init__(self, server, case):
        self.server, self.case, self.script = server, case, script_of(case)
        self.expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
        self.fnf = ByHand(server, key=str(100_000_000_000 + CASES.index(case)))
        self.flow, self.execution = "flow", "case"
        self.refused, self.begin = [], None

    def run(self):
        for name, file_name in self.script.get("flows", {}).items():
            self.fnf.create(name, renamed((self.case / file_name).read_text(encoding="utf-8"), self.case))
        self.fnf.create("flow", renamed((self.case / "flow.yaml").read_text(encoding="utf-8"), self.case))
        payload = (self.case / "input.json").read_text(encoding="utf-8")
        begun = self.fnf.call("StartExecution", FlowName="flow", ExecutionName="case", Input=payload)
        self.begin = datetime.fromisoformat(begun["StartedTime"])
        for moment, actions in sorted(self.moments().items()):
            self.settle(moment)
            self.turn_to(moment)
            for _, act in sorted(actions, key=lambda action: action[0]):
                act()

    # When what happens

    def moments(self):
        """{milliseconds after the beginning: [(rank, action)]}, with a moment for each time in the history."""
        moments = {event["after_ms"]: [] for event in self.expected["history"]}

        def at(moment, rank, act):
            moments.setdefault(moment, []).append((rank, act))

        for name, answers in self.script.get("functions", {}).items():
            plain = [answer for answer in answers if "when" not in answer]
            for number, called in enumerate(self.calls(name), start=1):
                answer = plain[min(number, len(plain)) - 1] if plain else {}
                if answer.get("after_s"):
                    moment = called["after_ms"] + answer["after_s"] * 1000
                    at(moment, 1, lambda name=name, number=number: self.answer(name, number))
        for report in self.script.get("reports", []):
            number = report.get("call", 1)
            called = self.calls(report["function"])[number - 1]
            moment = called["after_ms"] + report.get("after_s", 0) * 1000
            at(moment, 0 if report.get("early") else 2, lambda report=report: self.report(report))
        for stop in self.script.get("stops", []):
            at(stop["after_s"] * 1000, 3, lambda stop=stop: self.stop(stop))
        return moments

    def calls(self, function):
        """The expected events of scheduled tasks that call a function."""
        scheduled = [event for event in self.expected["history"] if event["Type"] == "TaskScheduled"]
        pattern = re.compile(rf"functions/{re.escape(function)}(/|$)")
        return [event for event in scheduled if pattern.search(event["EventDetail"].get("resourceArn", ""))]

    def settle(self, moment):
        """Waits until all that comes before a moment is in the history."""
        before = sum(event["after_ms"] < moment for event in self.expected["history"])
        if "events" in self.expected or not before:
            return

        def is_there():
            found = len(self.history())
            return found >= before or self.described()["Status"] in FINAL

        wait_for(is_there, f"{before} events of {self.case.name}")

    def turn_to(self, moment):
        _, clock = self.server.admin("GET", "clock")
        ahead = self.begin + timedelta(milliseconds=moment) - instant(clock["now"])
        if ahead > timedelta(0):
            self.server.advance(f"{ahead // timedelta(milliseconds=1) + 1}ms")

    # What happens

    def answer(self, function, number):
        (Path(self.server.folder) / "play" / numbered(function, self.case) / f"go-{number}").touch()

    def report(self, report):
        """Reports the token that stands in the event of the call."""
        expected = self.calls(report["function"])[report.get("call", 1) - 1]
        member = next(key for key, value in expected["EventDetail"]["input"].items() if TOKEN.fullmatch(str(value)))
        number = expected["EventId"]
        wait_for(lambda: len(self.history()) > number, "the task to be started")
        if not report.get("early"):
            # The function's answer comes first.
            wait_for(lambda: self.submitted(number), "the task to be submitted")
        token = detail(self.history()[number - 1])["input"][member]
        try:
            if "succeeded" in report:
                self.fnf.succeed(token, report["succeeded"])
            else:
                failed = report["failed"]
                self.fnf.fail(token, failed["error"], Cause=failed["cause"])
        except Refused as refusal:
            self.refused.append((refusal.status, refusal.code))

    def submitted(self, number):
        events = self.history()[number:]
        kinds = ("TaskSubmitted", "TaskSubmitFailed", "TaskSucceeded", "TaskFailed", "TaskTimedOut")
        return any(event["Type"] in kinds for event in events) or self.described()["Status"] in FINAL

    def stop(self, stop):
        execution = stop.get("execution", "case")
        flow = "flow" if execution == "case" else next(iter(self.script["flows"]))
        reason = {key: stop[member] for key, member in (("Error", "error"), ("Cause", "cause")) if member in stop}
        try:
            self.fnf.stop(flow, execution, **reason)
        except Refused as refusal:
            assert refusal.code == "ExecutionAlreadyCompleted"

    # What is to be seen

    def history(self):
        return self.fnf.history("flow", "case")

    def described(self):
        return self.fnf.execution("flow", "case")


def instant(value):
    """A point in time as the admin API writes it."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value / 1000).astimezone()
    return datetime.fromisoformat(value)


def shown(events, play):
    """A history as expected.json writes it, but for its times."""
    tokens = {}
    rows = []
    for event in events:
        body = detail(event)
        for key, value in body.get("input", {}).items() if event["Type"] == "TaskScheduled" else ():
            hint = next((each for each in play.expected["history"] if each["EventId"] == event["EventId"]), None)
            told = hint and hint["EventDetail"].get("input", {}).get(key)
            if isinstance(told, str) and TOKEN.fullmatch(told) and isinstance(value, str):
                tokens[value] = told
        rows.append({key: event[key] for key in ("EventId", "ScheduleEventId", "StepName", "Type")})
        rows[-1]["EventDetail"] = body
    lost = {
        answer["lost"]
        for answers in play.script.get("functions", {}).values()
        for answer in answers
        if "lost" in answer
    }
    for row in rows:
        if lost and row["EventDetail"].get("error") == "FC.Unknown":
            # How a real process is lost is told in other words.
            assert row["EventDetail"]["cause"]
            (row["EventDetail"]["cause"],) = lost
    text = json.dumps(rows)
    for token, name in tokens.items():
        text = text.replace(json.dumps(token), json.dumps(name))
    text = UUID.sub("<uuid>", text)
    return json.loads(re.sub(rf"(functions/[A-Za-z_]+)-{CASES.index(play.case)}\b", r"\1", text))


def sorted_strands(rows):
    """Events without their ids, in an order that does not depend on who was quicker."""
    return sorted(json.dumps([row["Type"], row["StepName"], row["EventDetail"]], sort_keys=True) for row in rows)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(server, case):
    play = Play(server, case)
    expected = play.expected
    if case.name == "input-no-object":
        outcome = play.fnf.refused("StartExecution", FlowName="flow", Input="[1]")
        assert outcome[1] in ("InvalidArgument", "FlowNotExists"), "the API does not let it in"
        return
    play.run()
    found = play.fnf.ended("flow", "case", seconds=60)
    events = play.history()
    told = [{key: value for key, value in event.items() if key != "after_ms"} for event in expected["history"]]
    rows = shown(events, play)
    if "events" in expected:
        assert len(rows) == expected["events"]
        rows = rows[:20] + rows[-20:]
    assert_sound(events)
    if expected.get("concurrent"):
        assert sorted_strands(rows) == sorted_strands(told)
    else:
        assert rows == told
    assert found["Status"] == expected["status"]
    output = re.sub(UUID, "<uuid>", found["Output"])
    if "output" in expected:
        assert same_but_tokens(json.loads(output), expected["output"])
    else:
        assert output == ""
        end = rows[-1]["EventDetail"]
        assert (end.get("error"), end.get("cause")) == (expected["error"], expected["cause"])
    assert play.refused == [REFUSALS[name] for name in expected.get("refused", [])]


def same_but_tokens(value, expected):
    """Whether two documents agree, a token standing for any text."""
    if isinstance(expected, str) and TOKEN.fullmatch(expected):
        return isinstance(value, str)
    if isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same_but_tokens(value[key], expected[key]) for key in expected)
    return value == expected
