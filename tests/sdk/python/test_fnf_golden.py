"""Proves that the flows of fixtures/flow come to what is written there, through the public API.

One server holds all cases, each in an account of its own. The script of a case is played on
the virtual clock: a moment comes only when everything before it is in the history. Where a
function takes its time, that time is real (to turn the clock waits for running functions, at
length), and all such cases are played side by side. Compared are status, output,
error and cause, why reports were refused, and the history but for its times.
"""

import concurrent.futures
import json
import re
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fnf import FINAL, ByHand, Refused, assert_sound, detail
from harness import ROOT, wait_for

CASES = sorted(path.parent for path in (ROOT / "fixtures" / "flow").glob("*/flow.yaml"))
REFUSALS = {"TaskCompleted": (400, "TaskAlreadyCompleted"), "TaskNotWaiting": (409, "TaskInvalidState")}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
REAL_MS_MAX = 15_000
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


def takes_time(case):
    """Whether a function of the case answers only after a while, yet all is over within seconds."""
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    if expected["history"][-1]["after_ms"] > REAL_MS_MAX:
        return False
    return any(answer.get("after_s") for answers in script_of(case).get("functions", {}).values() for answer in answers)


class Play:
    """One case, from its start to its end."""

    def __init__(self, server, case):
        self.server, self.case, self.script = server, case, script_of(case)
        self.expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
        self.fnf = ByHand(server, key=str(100_000_000_000 + CASES.index(case)))
        self.flow, self.execution = "flow", "case"
        self.refused, self.begin = [], None
        self.real_time = takes_time(case)

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
        return self.refused

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
                    # Who answers after the end need not be waited for.
                    moment = min(called["after_ms"] + answer["after_s"] * 1000, max(moments) + 1)
                    at(moment, 1, lambda name=name, number=number: self.answer(name, number))
        for report in self.script.get("reports", []):
            calls = self.calls(report["function"])[report.get("call", 1) - 1 :]
            # A call that is not in this history is one of a flow that it has started: as soon as it is there.
            begin = calls[0]["after_ms"] if calls else self.expected["history"][-1]["after_ms"]
            moment = begin + report.get("after_s", 0) * 1000
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
        ahead = self.begin + timedelta(milliseconds=moment) - datetime.fromisoformat(clock["now"])
        if ahead <= timedelta(0):
            return
        if self.real_time:
            time.sleep(ahead.total_seconds())
        else:
            self.server.advance(f"{ahead // timedelta(milliseconds=1) + 1}ms")

    # What happens

    def answer(self, function, number):
        (Path(self.server.folder) / "play" / numbered(function, self.case) / f"go-{number}").touch()

    def report(self, report):
        """Reports the token that stands in the event of the call."""
        called = wait_for(lambda: self.called(report), "the call")
        flow, execution, number = called
        wait_for(lambda: len(self.fnf.history(flow, execution)) > number, "the task to be started")
        if not report.get("early"):
            # The function's answer comes first.
            wait_for(lambda: self.answered(*called), "the function to answer")
        event = self.fnf.history(flow, execution)[number - 1]
        token = next(text for text in texts(detail(event)["input"]) if is_token(text))
        try:
            if "succeeded" in report:
                self.fnf.succeed(token, report["succeeded"])
            else:
                failed = report["failed"]
                self.fnf.fail(token, failed["error"], Cause=failed["cause"])
        except Refused as refusal:
            self.refused.append((refusal.status, refusal.code))

    def called(self, report):
        """(flow, execution, EventId) of the task that is the call; in the flow, or in one that it has started."""
        suffix = "functions/" + numbered(report["function"], self.case)
        for flow in ("flow", *self.script.get("flows", {})):
            for execution in self.fnf.call("ListExecutions", FlowName=flow)["Executions"]:
                scheduled = [
                    event["EventId"]
                    for event in self.fnf.history(flow, execution["Name"])
                    if event["Type"] == "TaskScheduled" and suffix in detail(event).get("resourceArn", "")
                ]
                if len(scheduled) >= report.get("call", 1):
                    return flow, execution["Name"], scheduled[report.get("call", 1) - 1]
        return None

    def answered(self, flow, execution, number):
        events = self.fnf.history(flow, execution)[number:]
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


def texts(value):
    """All texts in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def is_token(text):
    """A task token is long, and base64."""
    return len(text) > 60 and re.fullmatch(r"[A-Za-z0-9+/=]+", text) is not None


def shown(events, play):
    """A history as expected.json writes it, but for its times."""
    rows, tokens, entered = [], {}, {}
    for event in events:
        body = detail(event)
        if event["Type"] == "StepEntered":
            entered[event["StepName"]] = event["EventId"]
        if event["Type"] == "TaskScheduled":
            for text in filter(is_token, texts(body["input"])):
                tokens.setdefault(text, f"<token of event {entered[event['StepName']]}>")
        rows.append({key: event[key] for key in ("EventId", "ScheduleEventId", "StepName", "Type")})
        rows[-1]["EventDetail"] = body
    text = json.dumps(rows)
    for token, name in tokens.items():
        text = text.replace(json.dumps(token), json.dumps(name))
    text = UUID.sub("<uuid>", text)
    return json.loads(re.sub(rf"(functions/[A-Za-z_]+)-{CASES.index(play.case)}\b", r"\1", text))


def without_words(rows):
    """Events without the causes that are told in other words where real processes run, and where there is a reader."""
    rows = json.loads(json.dumps(rows))
    for row in rows:
        if row["EventDetail"].get("error") in ("FC.Unknown", "FC.FunctionNotFound"):
            assert row["EventDetail"]["cause"]
            row["EventDetail"]["cause"] = "<words>"
    return rows


def is_side_by_side(case, expected):
    """Whether functions or sub-flows run at the same time, so that who is quicker is chance."""
    text = (case / "flow.yaml").read_text(encoding="utf-8")
    splits = "type: parallel" in text or "type: foreach" in text
    return expected.get("concurrent") or (splits and "flows" in script_of(case))


def sorted_strands(rows):
    """Events without their ids, in an order that does not depend on who was quicker."""
    return sorted(json.dumps([row["Type"], row["StepName"], row["EventDetail"]], sort_keys=True) for row in rows)


@pytest.fixture(scope="module")
def in_real_time(server):
    """{case: the future of its play} of all that take their time, once all are over."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(CASES) or 1) as threads:
        return {case: threads.submit(Play(server, case).run) for case in CASES if takes_time(case)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(server, in_real_time, case):
    play = Play(server, case)
    expected = play.expected
    if case.name == "input-no-object":
        outcome = play.fnf.refused("StartExecution", FlowName="flow", Input="[1]")
        assert outcome[1] in ("InvalidArgument", "FlowNotExists"), "the API does not let it in"
        return
    if case in in_real_time:
        play.refused = in_real_time[case].result()
    else:
        play.run()
    found = play.fnf.ended("flow", "case", seconds=60)
    events = play.history()
    told = [{key: value for key, value in event.items() if key != "after_ms"} for event in expected["history"]]
    told, rows = without_words(told), without_words(shown(events, play))
    if "events" in expected:
        assert len(rows) == expected["events"]
        rows = rows[:20] + rows[-20:]
    assert_sound(events)
    if is_side_by_side(case, expected):
        assert sorted_strands(rows) == sorted_strands(told)
    else:
        assert rows == told
    assert found["Status"] == expected["status"]
    output = re.sub(UUID, "<uuid>", found["Output"])
    if "output" in expected:
        assert same_but_tokens(json.loads(output), expected["output"])
    else:
        assert output == ""
        end = detail(events[-1])
        assert end.get("error") == expected["error"]
        assert end.get("cause") == expected["cause"] or told[-1]["EventDetail"]["cause"] == "<words>"
    assert play.refused == [REFUSALS[name] for name in expected.get("refused", [])]


def same_but_tokens(value, expected):
    """Whether two documents agree, a token standing for any text."""
    if isinstance(expected, str) and TOKEN.fullmatch(expected):
        return isinstance(value, str)
    if isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same_but_tokens(value[key], expected[key]) for key in expected)
    return value == expected
