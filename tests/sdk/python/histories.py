"""Histories made comparable: what is left is the same on every run of the same workflow.

`normalise` drops ids, times and payloads, names parents instead of numbering them,
and puts what branches of a parallel do into one list per branch, since their
checkpoints may interleave. `fixtures/histories/*.json` holds lists of this shape:

    {"EventType": "StepFailed", "Name": "reserve-stock", "SubType": "Step", "Attempt": 1}
    {"EventType": "StepStarted", "Name": "pack", "SubType": "Step", "Parent": "warehouse"}
    {"Branches": {"warehouse": [...], "customer": [...]}}     # unordered among each other
"""

import json
from pathlib import Path

HISTORIES = Path(__file__).parents[3] / "fixtures" / "histories"


def golden(name):
    return json.loads((HISTORIES / f"{name}.json").read_text(encoding="utf-8"))


def normalise(events):
    """Events of GetDurableExecutionHistory, oldest first, in the shape of the golden files."""
    kinds, names, parents = {}, {}, {}
    lines = []
    branches = {}  # id of a parallel -> the dictionary of its branches
    for event in events:
        identity = event.get("Id")
        if identity:
            kinds.setdefault(identity, event.get("SubType"))
            names.setdefault(identity, event.get("Name"))
            parents.setdefault(identity, event.get("ParentId"))
        group, branch = _branch_of(identity, kinds, parents)
        line = _line(event, names)
        if group is None:
            lines.append(line)
        else:
            if group not in branches:
                branches[group] = {}
                lines.append({"Branches": branches[group]})
            branches[group].setdefault(names[branch], []).append(line)
    return lines


def operations(lines):
    """A normalised history without its invocations: what a restart must not change at all."""
    return [line for line in lines if line.get("EventType") != "InvocationCompleted"]


def invocations(events):
    """How many invocations a history shows."""
    return sum(1 for event in events if event["EventType"] == "InvocationCompleted")


def types(events):
    """Just the event types, for tests about order."""
    return [event["EventType"] for event in events]


def details(event):
    """The one `…Details` member of an event, or an empty dictionary."""
    return next((value for key, value in event.items() if key.endswith("Details")), {})


def _branch_of(identity, kinds, parents):
    """The outermost parallel around an operation and the branch it belongs to, or two Nones."""
    found = (None, None)
    while identity is not None:
        parent = parents.get(identity)
        if kinds.get(parent) == "Parallel":
            found = (parent, identity)
        identity = parent
    return found


def _line(event, names):
    line = {"EventType": event["EventType"]}
    if not event["EventType"].startswith("Execution"):
        if event.get("Name"):
            line["Name"] = event["Name"]
        if event.get("SubType"):
            line["SubType"] = event["SubType"]
        if event.get("ParentId"):
            line["Parent"] = names[event["ParentId"]]
    body = details(event)
    attempt = body.get("RetryDetails", {}).get("CurrentAttempt")
    if attempt is not None:
        line["Attempt"] = attempt
    if event["EventType"] == "InvocationCompleted" and "Error" in body:
        line["Error"] = body["Error"].get("Payload", {}).get("ErrorType")
    return line
