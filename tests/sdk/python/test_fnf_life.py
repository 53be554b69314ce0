"""Proves what becomes of running executions when names are taken, flows are deleted, and there is much to do at once."""

import concurrent.futures
import json

import flows
import pytest
from fnf import ByHand, Core, Tea, assert_sound, detail, types
from harness import wait_for

SECONDS = 600


@pytest.fixture(scope="module")
def cloud(server):
    return Tea(server)


def test_one_name_from_many_clients(server, cloud, name):
    """However many start it at once, it is one execution, and all are told of it."""
    cloud.create(name, flows.WAIT)
    clients = [kind(server) for kind in (Tea, Core, ByHand) for _ in range(4)]

    def start(client):
        payload = json.dumps({"seconds": SECONDS})
        return client.call("StartExecution", FlowName=name, ExecutionName="one", Input=payload)

    with concurrent.futures.ThreadPoolExecutor(max_workers=len(clients)) as threads:
        answers = list(threads.map(start, clients))
    assert len({(answer["Name"], answer["StartedTime"]) for answer in answers}) == 1
    assert [answer["Status"] for answer in answers].count("") == 1, "one has started it"
    assert {answer["Status"] for answer in answers} <= {"", "Running"}
    assert len(cloud.call("ListExecutions", FlowName=name)["Executions"]) == 1
    assert types(cloud.history(name, "one")).count("ExecutionStarted") == 1


def test_one_flow_from_many_clients(server, name):
    clients = [kind(server) for kind in (Tea, Core, ByHand) for _ in range(4)]

    def create(client):
        parameters = {"Name": name, "Definition": flows.PASSES, "Description": "", "Type": "FDL"}
        return client.refused("CreateFlow", **parameters)[:2]

    with concurrent.futures.ThreadPoolExecutor(max_workers=len(clients)) as threads:
        calls = [threads.submit(create, client) for client in clients]
    refused = [call.result() for call in calls if call.exception() is None]
    assert len(refused) == len(clients) - 1, "one has created it"
    assert set(refused) == {(409, "FlowAlreadyExists")}


def test_a_flow_deleted_while_it_runs(cloud, name, tmp_path):
    """The step in progress is finished; nothing follows; nothing is to be seen of it."""
    log = tmp_path / "log"
    cloud.create(name, flows.places(SECONDS)["task"][0])
    cloud.start(name, {"log": str(log)}, name="one")
    wait_for(lambda: log.exists() and "slow" in log.read_text(encoding="utf-8"), "the function to run")
    cloud.call("DeleteFlow", Name=name)
    assert cloud.refused("DescribeExecution", FlowName=name, ExecutionName="one")[:2] == (404, "FlowNotExists")
    cloud.create(name, flows.PASSES)
    assert cloud.refused("DescribeExecution", FlowName=name, ExecutionName="one")[:2] == (404, "ExecutionNotExists")
    (tmp_path / "log.go").touch()
    # The new flow of the name may use the old one's names.
    assert cloud.output(name, cloud.start(name, name="one")) == {}
    assert log.read_text(encoding="utf-8").split() == ["before", "slow"]


def test_a_child_whose_flow_is_deleted(cloud, name, tmp_path):
    """Its parent does not wait for ever."""
    child = f"{name}-child"
    cloud.create(child, flows.CHILD)
    definition, event, step = flows.places(SECONDS)["sub-flow"]
    cloud.create(name, definition.replace("flow/child", f"flow/{child}"))
    cloud.start(name, {"log": str(tmp_path / "log"), "seconds": SECONDS}, name="one")
    cloud.event(name, "one", event, step)
    cloud.event(child, "one", "StepStarted", "pause")
    cloud.call("DeleteFlow", Name=child)
    assert cloud.ended(name, "one")["Status"] == "Failed"
    assert detail(cloud.history(name, "one")[-1])["error"] == "FnF.ExecutionStopped"


def test_a_token_of_a_deleted_flow(cloud, name):
    cloud.create(name, flows.CALLBACK)
    cloud.start(name, {"order": 1}, name="one")
    token = cloud.token(name, "one", "ask")
    cloud.call("DeleteFlow", Name=name)
    assert cloud.refused("ReportTaskSucceeded", TaskToken=token, Output="{}")[:2] == (400, "TaskAlreadyCompleted")


def test_a_token_of_another_account(server, cloud, name):
    cloud.create(name, flows.CALLBACK)
    cloud.start(name, {"order": 1}, name="one")
    token = cloud.token(name, "one", "ask")
    stranger = ByHand(server, key="123456789012")
    assert stranger.refused("ReportTaskSucceeded", TaskToken=token, Output="{}")[:2] == (403, "AccessDenied")
    assert stranger.refused("ReportTaskFailed", TaskToken=token, Error="E")[:2] == (403, "AccessDenied")
    cloud.succeed(token, {"mine": True})
    assert cloud.output(name, "one") == {"mine": True}


def test_two_reports_at_once(server, cloud, name):
    """One counts, the others hear that."""
    clients = [kind(server) for kind in (Tea, Core, ByHand) for _ in range(3)]
    cloud.create(name, flows.CALLBACK)
    cloud.start(name, {"order": 1}, name="one")
    token = cloud.token(name, "one", "ask")
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(clients)) as threads:
        calls = [threads.submit(client.succeed, token, {"by": number}) for number, client in enumerate(clients)]
    outcomes = [call.exception() or call.result() for call in calls]
    numbers = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(numbers) == 1
    assert {outcome.code for outcome in outcomes if not isinstance(outcome, int)} == {"TaskAlreadyCompleted"}
    assert cloud.output(name, "one") == {"by": outcomes.index(numbers[0])}
    assert_sound(cloud.history(name, "one"))


def test_pages_while_flows_come_and_go(cloud, name):
    """A token is the name of a flow, which may be gone when it is used."""
    for letter in "abcd":
        cloud.create(f"{name}-{letter}", flows.PASSES)
    cloud.call("DeleteFlow", Name=f"{name}-b")
    assert cloud.call("ListFlows", NextToken=f"{name}-b", Limit=1)["Flows"][0]["Name"] == f"{name}-c"


def test_many_iterations(cloud, name):
    """More than run at a time, each with a real function; all in order."""
    each = (
        "  - type: foreach\n    name: each\n    iterationMapping: {collection: $.items, item: item, index: at}\n"
        + "    steps:\n"
        + flows.task("say", "echo", inputs={"item": "$input.item", "at": "$input.at"}, indent=6)
        + '    outputMappings: [{target: items, source: "$local[*].item"}, {target: at, source: "$local[*].at"}]\n'
    )
    cloud.create(name, flows.HEAD + each)
    items = [f"item {number}" for number in range(250)]
    cloud.start(name, {"items": items}, name="one")
    assert cloud.output(name, "one") == {"items": items, "at": list(range(250))}
    events = cloud.history(name, "one")
    assert_sound(events)
    assert types(events).count("IterationExited") == 250
    # Never more than a hundred at a time.
    running = most = 0
    for event in events:
        running += {"IterationEntered": 1, "IterationExited": -1}.get(event["Type"], 0)
        most = max(most, running)
    assert most == 100


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"ExecutionMode": "Express"}, "Express flows"),
        ({"ExecutionMode": "Sometimes"}, "an unknown mode"),
        (
            {
                "Definition": "Type: StateMachine\nName: n\nSpecVersion: v1\nStartAt: A\n"
                "States:\n  - {Type: Pass, Name: A, End: true}\n"
            },
            "the newer language",
        ),
        (
            {
                "Definition": flows.HEAD
                + "  - {type: task, name: t, resourceArn: 'acs:mns:::/topics/t/messages', pattern: waitForCallback}\n"
            },
            "queues and topics",
        ),
    ],
    ids=["express", "mode", "state-machine", "mns"],
)
def test_what_is_not_built_is_refused_at_once(cloud, name, parameters, what):
    """Not when it runs."""
    given = {"Name": name, "Definition": flows.PASSES, "Description": "", "Type": "FDL", **parameters}
    assert cloud.refused("CreateFlow", **given)[:2] == (400, "InvalidArgument"), what
