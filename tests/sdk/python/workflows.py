"""Small durable functions, each with one thing in it. All read their event for what to do."""

HEAD = """
import json, os, time
from aws_durable_execution_sdk_python import durable_execution
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration, StepConfig, StepSemantics
from aws_durable_execution_sdk_python.retries import RetryPresets

def seconds(number):
    return Duration.from_seconds(number)

def note(event, word):
    if event.get("log"):
        with open(event["log"], "a") as log:
            log.write(word + "\\n")
"""

# Returns what it was given.
ECHO = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    return context.step(lambda _: event, name="echo")
"""
)

# Quotes and other letters, as many as are asked for: a quote takes two bytes in the result, and four on the way.
QUOTES = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    return '"' * event["quotes"] + "x" * event["others"]
"""
)

# A step before and after a wait of event["seconds"]; VERSION tells which code ran.
WAIT = (
    HEAD
    + """
VERSION = "one"

@durable_execution
def handler(event, context):
    def first(_):
        note(event, "first")
        return VERSION
    begun = context.step(first, name="first")
    context.wait(seconds(event.get("seconds", 60)), name="pause")
    def second(_):
        note(event, "second")
        return VERSION
    return {"begun": begun, "ended": context.step(second, name="second")}
"""
)

# A callback with event["timeout"] and event["heartbeat"] in seconds (0: none); returns its text.
CALLBACK = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    callback = context.create_callback(
        name="answer",
        config=CallbackConfig(
            timeout=seconds(event.get("timeout", 0)), heartbeat_timeout=seconds(event.get("heartbeat", 0))
        ),
    )
    return {"answer": callback.result()}
"""
)

# F16: the callback inside a child context.
CALLBACK_IN_CONTEXT = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    def inside(child):
        return child.create_callback(name="answer", config=CallbackConfig(timeout=seconds(15))).result()
    return context.run_in_child_context(inside, name="inside")
"""
)

# A step that takes event["seconds"] the first time its code runs, and no time later.
SLOW_STEP = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    def before(_):
        note(event, "before")
    context.step(before, name="before")
    def slow(_):
        again = os.path.exists(event["log"]) and "slow" in open(event["log"]).read()
        note(event, "slow")
        if not again or event.get("always"):
            time.sleep(event["seconds"])
        note(event, "woke")
        return "done"
    return context.step(slow, name="slow", config=StepConfig(retry_strategy=RetryPresets.none()))
"""
)

# A step that must not run twice, and is under way for event["seconds"].
ONCE = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    def slow(_):
        note(event, "slow")
        time.sleep(event["seconds"])
    config = StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY, retry_strategy=RetryPresets.none())
    return context.step(slow, name="slow", config=config)
"""
)

# Not the SDK at all: answers event["answer"] as the response envelope, after a look at its input.
RAW = """
import json
import boto3

def handler(event, context):
    operations = event["InitialExecutionState"]["Operations"]
    asked = json.loads(operations[0]["ExecutionDetails"]["InputPayload"])
    if asked.get("dump"):
        with open(asked["dump"], "w") as out:
            json.dump(event, out)
    if asked.get("checkpoints"):
        with open(asked["outcomes"], "w") as out:
            json.dump(outcomes_of(event, asked["checkpoints"]), out)
    return asked["answer"]

def outcomes_of(event, checkpoints):
    client = boto3.client("lambda")
    token, outcomes = event["CheckpointToken"], []
    for step in checkpoints:
        arguments = {
            "DurableExecutionArn": event["DurableExecutionArn"],
            "CheckpointToken": event["CheckpointToken"] if step.get("stale") else token,
            "Updates": step.get("updates", []),
        }
        if step.get("client_token"):
            arguments["ClientToken"] = step["client_token"]
        try:
            reply = client.checkpoint_durable_execution(**arguments)
            token = reply.get("CheckpointToken", token)
            ids = [operation["Id"] for operation in reply["NewExecutionState"].get("Operations", [])]
            outcomes.append({"token": reply.get("CheckpointToken"), "ids": ids})
        except client.exceptions.ClientError as problem:
            answer = problem.response
            outcomes.append({
                "status": answer["ResponseMetadata"]["HTTPStatusCode"],
                "code": answer["Error"]["Code"],
                "message": answer["Error"]["Message"],
            })
    return outcomes
"""

# Exits in the middle of a step the first time, as often as event["times"].
CRASHING = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    def risky(_):
        note(event, "risky")
        runs = open(event["log"]).read().count("risky")
        if runs <= event.get("times", 1):
            time.sleep(1)  # so that the checkpoint of the start gets out
            os._exit(1)
        return runs
    return context.step(risky, name="risky")
"""
)

# Calls event["function"] and hands on what it says.
CALLER = (
    HEAD
    + """
@durable_execution
def handler(event, context):
    return {"said": context.invoke(event["function"], event.get("payload"), name="call")}
"""
)

# Not the SDK at all: writes its input beside the file `release` that it then waits for, so that a test can use its token.
HELD = """
import json, pathlib, time

def handler(event, context):
    release = pathlib.Path(json.loads(event["InitialExecutionState"]["Operations"][0]["ExecutionDetails"]["InputPayload"])["release"])
    release.with_suffix(".event").write_text(json.dumps(event))
    for _ in range(2000):
        if release.exists():
            break
        time.sleep(0.01)
    return {"Status": "SUCCEEDED"}
"""
