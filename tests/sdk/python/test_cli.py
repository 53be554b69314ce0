"""Proves that the AWS CLI (version 1) works with an endpoint and keys in the environment, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import workflows
from harness import REGION, ROLE, absent, wait_for, zipped


@pytest.fixture(scope="module")
def cli(server, tmp_path_factory):
    """Runs `aws lambda …` and returns its parsed output, or its complaint if it shall be `refused`."""
    beside = Path(sys.executable).parent / "aws"
    program = str(beside) if beside.exists() else shutil.which("aws")
    if program is None:
        absent("the AWS CLI is not installed")
    home = tmp_path_factory.mktemp("home")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def run(*arguments, refused=False):
        done = subprocess.run(
            [program, "lambda", *arguments], env=environment, cwd=home, capture_output=True, text=True, timeout=90
        )
        if refused:
            assert done.returncode in (254, 255), done.stdout  # version 2 says 254
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    run.folder = home
    return run


def create(cli, name, source):
    package = cli.folder / f"{name}.zip"
    package.write_bytes(zipped(source))
    created = cli(
        "create-function",
        *("--function-name", name, "--runtime", "python3.13", "--handler", "handler.handler", "--role", ROLE),
        *("--zip-file", f"fileb://{package}", "--timeout", "30"),
        *("--durable-config", "ExecutionTimeout=3600,RetentionPeriodInDays=7"),
    )
    cli("wait", "function-active-v2", "--function-name", name)
    return created


def start(cli, name, payload, execution_name):
    started = cli(
        "invoke",
        *("--function-name", f"{name}:$LATEST", "--invocation-type", "Event", "--payload", json.dumps(payload)),
        *("--durable-execution-name", execution_name, "out.json"),
    )
    assert started["StatusCode"] == 202
    assert (cli.folder / "out.json").read_text() == ""
    return started["DurableExecutionArn"]


def test_main_path(server, cli):
    created = create(cli, "cli-callback", workflows.CALLBACK)
    assert created["DurableConfig"] == {"ExecutionTimeout": 3600, "RetentionPeriodInDays": 7}
    arn = start(cli, "cli-callback", {}, "approved")
    server.wait_until_suspended(arn)

    history = cli("get-durable-execution-history", "--durable-execution-arn", arn)["Events"]
    assert [event["EventType"] for event in history] == ["ExecutionStarted", "CallbackStarted", "InvocationCompleted"]
    callback = history[1]["CallbackStartedDetails"]["CallbackId"]
    cli("send-durable-execution-callback-heartbeat", "--callback-id", callback)
    cli("send-durable-execution-callback-success", "--callback-id", callback, "--result", "yes")
    server.wait_for_end(arn)
    execution = cli("get-durable-execution", "--durable-execution-arn", arn)
    assert (execution["Status"], json.loads(execution["Result"])) == ("SUCCEEDED", {"answer": "yes"})
    refusal = cli("send-durable-execution-callback-success", "--callback-id", callback, refused=True)
    assert "CallbackTimeoutException" in refusal


def test_versions_aliases_and_history_without_data(server, cli):
    create(cli, "cli-version", workflows.CALLBACK)
    assert cli("publish-version", "--function-name", "cli-version")["Version"] == "1"
    alias = ("--function-name", "cli-version", "--name", "live")
    cli("create-alias", *alias, "--function-version", "1")
    assert cli("get-alias", *alias)["FunctionVersion"] == "1"
    assert len(cli("list-versions-by-function", "--function-name", "cli-version")["Versions"]) == 2
    assert "cli-version" in [found["FunctionName"] for found in cli("list-functions")["Functions"]]
    started = cli("invoke", "--function-name", "cli-version:live", "--invocation-type", "Event", "out.json")
    arn = started["DurableExecutionArn"]
    assert ":function:cli-version:1/durable-execution/" in arn
    server.wait_until_suspended(arn)
    history = ("get-durable-execution-history", "--durable-execution-arn", arn)
    shown = cli(*history, "--no-include-execution-data")["Events"]
    assert shown[0]["ExecutionStartedDetails"]["Input"] == {"Truncated": True}
    assert cli(*history)["Events"][0]["ExecutionStartedDetails"]["Input"]["Payload"] == "{}"
    newest = cli(*history, "--reverse-order", "--max-items", "1")
    assert [event["EventType"] for event in newest["Events"]] == ["InvocationCompleted"]
    assert newest["NextToken"], "the rest is a page away"


def test_state(server, cli, tmp_path):
    """The state that only a running handler may ask for, asked for with its token."""
    create(cli, "cli-held", workflows.HELD)
    release = tmp_path / "release"
    arn = start(cli, "cli-held", {"release": str(release)}, "held")
    event = release.with_suffix(".event")
    wait_for(event.exists, "the handler to run")
    envelope = wait_for(lambda: event.read_text() and json.loads(event.read_text()), "its input")
    asked = ("get-durable-execution-state", "--durable-execution-arn", arn, "--checkpoint-token")
    (execution,) = cli(*asked, envelope["CheckpointToken"])["Operations"]
    assert (execution["Type"], execution["Id"]) == ("EXECUTION", arn.rsplit("/", 1)[1])
    assert "Invalid checkpoint token" in cli(*asked, "AAAA", refused=True)
    release.touch()
    server.wait_for_end(arn)
    assert "Invalid checkpoint token" in cli(*asked, envelope["CheckpointToken"], refused=True)


def test_failure_stop_and_list(server, cli):
    create(cli, "cli-list", workflows.CALLBACK)
    failed = start(cli, "cli-list", {"n": 1}, "failed")
    callback = server.wait_for_event(failed, "CallbackStarted")["CallbackStartedDetails"]["CallbackId"]
    error = "ErrorType=NotAllowed,ErrorMessage=no"
    cli("send-durable-execution-callback-failure", "--callback-id", callback, "--error", error)
    server.wait_for_end(failed)
    stopped = start(cli, "cli-list", {"n": 2}, "stopped")
    server.wait_until_suspended(stopped)
    assert "StopTimestamp" in cli("stop-durable-execution", "--durable-execution-arn", stopped, "--error", error)
    running = start(cli, "cli-list", {"n": 3}, "running")

    def listed(*options):
        found = cli("list-durable-executions-by-function", "--function-name", "cli-list", *options)
        return {item["DurableExecutionArn"]: item["Status"] for item in found["DurableExecutions"]}

    assert listed() == {failed: "FAILED", stopped: "STOPPED", running: "RUNNING"}
    assert listed("--statuses", "FAILED", "STOPPED") == {failed: "FAILED", stopped: "STOPPED"}
    assert listed("--durable-execution-name", "running") == {running: "RUNNING"}
    assert listed("--page-size", "1") == listed()
    assert cli("get-durable-execution", "--durable-execution-arn", failed)["Error"]["ErrorMessage"] == "no"


def test_synchronous_invoke_with_log(cli):
    create(cli, "cli-echo", workflows.ECHO)
    answer = cli(
        "invoke",
        *("--function-name", "cli-echo", "--qualifier", "$LATEST", "--payload", '{"a": "b"}', "--log-type", "Tail"),
        "echo.json",
    )
    assert answer["StatusCode"] == 200 and answer["LogResult"]
    assert json.loads((cli.folder / "echo.json").read_text()) == {"a": "b"}


def test_refusals_read_well(cli):
    refusal = cli("get-function", "--function-name", "nobody", refused=True)
    assert "ResourceNotFoundException" in refusal and "Function not found: arn:aws:lambda:" in refusal
