"""Small flows, each with one thing in it, and the functions that their tasks call."""

import json

HEAD = "version: v1\ntype: flow\nsteps:\n"

# Two steps that do nothing; its history is published.
PASSES = HEAD + "  - type: pass\n    name: pass1\n  - type: pass\n    name: pass2\n"

# Gives its input's `who` back, as `hello`.
GREET = (
    HEAD
    + """
  - type: pass
    name: greet
    outputMappings:
      - target: hello
        source: $input.who
"""
)

FAIL = HEAD + "  - {type: fail, name: refuse, error: NotToday, cause: the shop is closed}\n"

# Waits as many seconds as the input says, then says so.
WAIT = (
    HEAD
    + """
  - type: wait
    name: pause
    duration: $.seconds
  - type: pass
    name: rested
    outputMappings:
      - target: rested
        source: true
"""
)

# Ends by itself after ten minutes.
TIMED = "version: v1\ntype: flow\ntimeoutSeconds: 600\nsteps:\n  - {type: wait, name: pause, duration: 86400}\n"


def task(name, function="echo", pattern="requestResponse", inputs=None, indent=2, **members):
    """A task step as a line of YAML (which JSON is); `inputs` become its inputMappings."""
    step = {
        "type": "task",
        "name": name,
        "resourceArn": f"acs:fc:::services/local/functions/{function}",
        "pattern": pattern,
        **members,
    }
    if inputs is not None:
        step["inputMappings"] = mappings(**inputs)
    return " " * indent + "- " + json.dumps(step) + "\n"


def mappings(**sources):
    return [{"target": target, "source": source} for target, source in sources.items()]


# Hands a token to `function`, and waits for whoever reports it.
CALLBACK = HEAD + task(
    "ask", pattern="waitForCallback", inputs={"order": "$input.order", "token": "$context.task.token"}
)


def around(inner):
    """A flow with a noted task, `inner` (steps as lines of YAML, two blanks deep), and another noted task."""
    return HEAD + noted("before") + inner + noted("after")


def noted(name, indent=2, **members):
    """A task whose function writes the step's name into the file that the input names as `log`."""
    return task(name, "note", inputs={"log": "$input.log", "word": name}, indent=indent, **members)


def places(seconds):
    """The places that an execution can be in when somebody stops it or pulls the plug; each lasts `seconds`.

    {place: (flow, the event that shows that the execution is there, its step)}. Their input is
    {"log": a file, "items": [1, 2], "seconds": seconds}.
    """
    pause = f"- {{type: wait, name: pause, duration: {seconds}}}\n"
    retry = {"errors": ["NotYet"], "intervalSeconds": seconds, "maxAttempts": 2, "multiplier": 1}
    child = {
        "type": "task",
        "name": "child",
        "resourceArn": "acs:fnf:::flow/child",
        "pattern": "sync",
        "inputMappings": mappings(log="$input.log", seconds="$input.seconds", run="$context.execution.name"),
        "serviceParams": {"Input": "$", "ExecutionName": "$.run"},
    }
    parallel = (
        "  - type: parallel\n    name: both\n    branches:\n"
        + "      - steps:\n"
        + noted("left", indent=10)
        + "      - steps:\n"
        + "          "
        + pause
        + noted("right", indent=10)
    )
    foreach = (
        "  - type: foreach\n    name: each\n"
        + "    iterationMapping: {collection: $.items, item: item}\n    steps:\n"
        + noted("item", indent=6)
        + "      "
        + pause
    )
    token = {"token": "$context.task.token"}
    named = {"log": "$input.log", "word": "slow"}
    return {
        "wait": (around("  " + pause), "StepStarted", "pause"),
        "task": (around(task("slow", "slow", inputs=named)), "TaskStarted", "slow"),
        "callback": (around(task("ask", pattern="waitForCallback", inputs=token)), "TaskSubmitted", "ask"),
        "retry": (
            around(task("again", "flaky", inputs={**named, "word": "again"}, retry=[retry])),
            "TaskFailed",
            "again",
        ),
        "parallel": (around(parallel), "StepExited", "left"),
        "foreach": (around(foreach), "StepStarted", "pause"),
        "sub-flow": (around("  - " + json.dumps(child) + "\n"), "TaskSubmitted", "child"),
    }


PLACES = tuple(places(1))
CHILD = HEAD + noted("in-child") + "  - {type: wait, name: pause, duration: $.seconds}\n" + noted("child-after")

# The functions that these flows call, as Function Compute takes them: bytes in, a document out.
NOTE = """
import json, time

def handler(event, context):
    event = json.loads(event)
    with open(event["log"], "a") as log:
        log.write(event["word"] + "\\n")
    return {event["word"].replace("-", "_"): True}
"""

# Runs until whoever tests it says so, or until it is run again.
SLOW = """
import json, os, time

def handler(event, context):
    event = json.loads(event)
    with open(event["log"], "a+") as log:
        log.write(event["word"] + "\\n")
        log.seek(0)
        runs = log.read().split().count(event["word"])
    while runs == 1 and not os.path.exists(event["log"] + ".go"):
        time.sleep(0.05)
    return {"slow": True}
"""

# Works when it is called for the third time.
FLAKY = """
import json

class NotYet(Exception):
    pass

def handler(event, context):
    event = json.loads(event)
    with open(event["log"], "a+") as log:
        log.write(event["word"] + "\\n")
        log.seek(0)
        attempt = log.read().split().count(event["word"])
    if attempt < 3:
        raise NotYet("attempt %d" % attempt)
    return {"attempts": attempt}
"""

ECHO = """
import json

def handler(event, context):
    return json.loads(event)
"""
FUNCTIONS = {"note": NOTE, "slow": SLOW, "flaky": FLAKY, "echo": ECHO}
