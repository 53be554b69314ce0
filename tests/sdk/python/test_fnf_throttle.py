"""Proves that an exhausted quota is told in each cloud's own way, and that calls pass once it is filled again."""

import time

import pytest
from alibabacloud_tea_openapi.exceptions import ClientException, ThrottlingException
from aliyunsdkcore.acs_exception.exceptions import ServerException
from botocore.exceptions import ClientError
from fnf import ByHand, Core, Refused, Tea, ask, signed
from harness import Server, wait_for

# One call each, and then none for minutes.
SLOW = """
[[bucket]]
service = "fnf"
operations = ["ListFlows", "DescribeFlow", "DescribeExecution"]
shared = false
rate = 0.005
burst = 1

[[bucket]]
service = "lambda"
operations = ["ListFunctions"]
rate = 0.005
burst = 1
"""
SDKS = pytest.mark.parametrize(
    ("kind", "own"), [(Tea, (ClientException, ThrottlingException)), (Core, ServerException)], ids=["tea", "core"]
)


def served(folder, profile):
    server = Server(folder, flags=["--throttle", profile])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A server whose buckets take minutes to fill again."""
    folder = tmp_path_factory.mktemp("slow")
    profile = folder / "quotas.toml"
    profile.write_text(SLOW, encoding="utf-8")
    yield from served(folder, profile)


@pytest.fixture
def cloud(tmp_path):
    """A server with the published quotas."""
    yield from served(tmp_path, "cloud")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_answer(slow, method):
    """By hand, whoever may have emptied the bucket before."""
    ask(slow, signed("ListFlows", method=method), method)
    answer = ask(slow, signed("ListFlows", method=method), method)
    assert (answer.status, answer.json["Code"]) == (429, "ResourceThrottled")
    assert answer.json["Message"] == "The request is throttled. Please try again later."
    assert answer.json["RequestId"] == answer.headers["x-acs-request-id"]


@SDKS
def test_alibabas_sdks(slow, kind, own):
    client = kind(slow)
    ByHand(slow).refused("DescribeFlow", Name="nowhere")  # the bucket counts refused calls, too
    with pytest.raises(Refused) as refusal:
        for _ in range(2):
            try:
                client.call("DescribeFlow", Name="nowhere")
            except Refused as other:
                if other.code != "FlowNotExists":
                    raise
    assert (refusal.value.status, refusal.value.code) == (429, "ResourceThrottled")
    assert isinstance(refusal.value.cause, own)


def test_a_wrong_signature_takes_nothing(slow):
    """Nobody empties a bucket of somebody else's."""
    stranger = ByHand(slow, secret="wrong")
    outcomes = {stranger.refused("DescribeExecution", FlowName="f", ExecutionName="e")[1] for _ in range(3)}
    assert outcomes == {"SignatureNotMatch"}
    assert ByHand(slow).refused("DescribeExecution", FlowName="f", ExecutionName="e")[1] == "FlowNotExists"


def test_boto3(slow):
    """In standard mode: refused, tried again, and in the end told."""
    with pytest.raises(ClientError) as refusal:
        for _ in range(2):
            slow.client(attempts=2).list_functions()
    answer = refusal.value.response
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1


@SDKS
def test_the_published_quotas_of_flows(cloud, kind, own):
    """Ten at once, then two a second, for each operation."""
    client = kind(cloud)
    begin = time.monotonic()
    passed = 0
    with pytest.raises(Refused) as refusal:
        while passed < 200:
            client.call("ListFlows")
            passed += 1
    assert (refusal.value.status, refusal.value.code) == (429, "ResourceThrottled")
    assert isinstance(refusal.value.cause, own)
    assert 10 <= passed <= 11 + 2 * (time.monotonic() - begin)
    assert client.refused("DescribeFlow", Name="nowhere")[1] == "FlowNotExists", "another bucket"

    def passes():
        try:
            client.call("ListFlows")
        except Refused:
            return False
        return True

    wait_for(passes, "the bucket to fill again", seconds=10)
