"""Proves that boto3 meets Lambda's published quotas as it would in the cloud, and passes once a bucket is filled again."""

import time
from types import SimpleNamespace

import botocore.endpoint
import pytest
import workflows
from botocore.exceptions import ClientError
from harness import wait_for

FLAGS = ["--throttle", "cloud"]
# Far beyond a bucket of 15 that fills by 15 a second, at any speed of a client that waits for its answers.
ENOUGH = 2000


@pytest.fixture(scope="module")
def arn(server):
    """An execution, so that calls about it succeed unless they are throttled."""
    server.deploy("echo", workflows.ECHO)
    arn = server.start_execution("echo")
    # Asked for by a call of a larger bucket than polling can empty.
    wait_for(lambda: server.execution(arn)["Status"] == "SUCCEEDED", "the end of the execution")
    return arn


@pytest.fixture(params=["control plane", "history", "listing"])
def call(request, arn):
    """A call of each bucket of 15 a second, made with the client it is given."""
    return {
        "control plane": lambda aws: aws.list_functions(),
        "history": lambda aws: aws.get_durable_execution_history(DurableExecutionArn=arn),
        "listing": lambda aws: aws.list_durable_executions_by_function(FunctionName="echo"),
    }[request.param]


def emptied(call, aws):
    """Calls until refused; returns how many calls passed, and the refusal."""
    for passed in range(ENOUGH):
        try:
            call(aws)
        except ClientError as refusal:
            return passed, refusal.response
    raise AssertionError(f"{ENOUGH} calls passed")


def assert_throttled(answer, retries):
    assert answer["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate exceeded"}
    assert (answer["Reason"], answer["Type"]) == ("CallerRateLimitExceeded", "User")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["ResponseMetadata"]["RetryAttempts"] == retries


def wait_until_it_passes(call, aws):
    def passes():
        try:
            call(aws)
        except ClientError:
            return False
        return True

    wait_for(passes, "the bucket to fill again", seconds=10)


def test_without_retries(server, call):
    """Refused at the first attempt, and not for longer than the bucket needs."""
    hasty = server.client(attempts=1)
    begin = time.monotonic()
    passed, answer = emptied(call, hasty)
    assert_throttled(answer, retries=0)
    assert passed <= 16 + 15 * (time.monotonic() - begin)
    wait_until_it_passes(call, hasty)


def test_with_retries(server, call, monkeypatch):
    """In standard mode: tried again as often as is allowed, and then told. Others keep the bucket empty meanwhile."""
    hasty, standard = server.client(attempts=1), server.client(attempts=3)
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        emptied(call, hasty)

    with monkeypatch.context() as patched:
        patched.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=pause))
        emptied(call, hasty)
        _, answer = emptied(call, standard)
    assert_throttled(answer, retries=2)
    # A random part of one second, then of two.
    assert pauses[-2] <= 1
    assert pauses[-1] <= 2
    wait_until_it_passes(call, hasty)


def test_a_client_with_patience_is_not_told(server, call):
    """With real pauses the bucket fills meanwhile, and the client passes by itself."""
    emptied(call, server.client(attempts=1))
    call(server.client(attempts=5))


def test_buckets_are_apart(server, arn):
    """An empty control plane stops neither executions nor questions about one."""
    hasty = server.client(attempts=1)
    assert_throttled(emptied(lambda aws: aws.list_functions(), hasty)[1], retries=0)
    for _ in range(10):
        assert hasty.get_durable_execution(DurableExecutionArn=arn)["Status"] == "SUCCEEDED"
    assert hasty.invoke(FunctionName="echo", Qualifier="$LATEST", InvocationType="Event")["StatusCode"] == 202
