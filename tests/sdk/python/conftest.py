"""Fixtures: a server per module, or one per test where the test kills it."""

import re

import fc
import flows
import pytest
import workflows
from fnf import ByHand, Core, Tea
from harness import NODE_FOLDER, Server, absent

SERVERS = pytest.StashKey[list]()


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    """A running durastack, shared by the tests of a module; `FLAGS` of the module are its flags."""
    yield from _serve(request, tmp_path_factory.mktemp("durastack"))


@pytest.fixture
def fresh_server(request, tmp_path):
    """A running durastack with an empty data folder, for this test alone."""
    yield from _serve(request, tmp_path)


@pytest.fixture(scope="module")
def aws(server):
    """A boto3 client for Lambda."""
    return server.aws


@pytest.fixture(params=["tea", "core", "get", "post"])
def fnf(request, server):
    """Serverless Workflow through both official SDKs for Python, and by hand with each HTTP method."""
    kinds = {"tea": Tea, "core": Core, "get": lambda it: ByHand(it, "GET"), "post": lambda it: ByHand(it, "POST")}
    return kinds[request.param](server)


@pytest.fixture(scope="module")
def functions(server):
    """One function for each small workflow of workflows.py; named alike, in lower case with hyphens."""
    for each in ("ECHO", "WAIT", "CALLBACK", "CALLBACK_IN_CONTEXT", "SLOW_STEP", "RAW", "CRASHING", "CALLER"):
        server.deploy(each.lower().replace("_", "-"), getattr(workflows, each))


@pytest.fixture
def name(request):
    """A function name that no other test uses."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-")[:50]


@pytest.fixture(scope="session")
def node_modules():
    """Skips where the durable SDK for JavaScript is not installed (npm ci in tests/sdk/node)."""
    if not (NODE_FOLDER / "node_modules" / "@aws" / "durable-execution-sdk-js").is_dir():
        absent("run npm ci in tests/sdk/node first")


@pytest.fixture(params=["python", "node"])
def language(request):
    """Runs a test for the order in both languages."""
    if request.param == "node":
        request.getfixturevalue("node_modules")
    return request.param


def _serve(request, folder):
    flags = list(getattr(request.module, "FLAGS", []))
    if request.module.__name__.startswith("test_fnf"):
        more = getattr(request.module, "FUNCTIONS", {})
        flags += fc.configure(folder, {**flows.FUNCTIONS, **(more(folder) if callable(more) else more)})
    server = Server(folder, flags=flags)
    request.session.stash.setdefault(SERVERS, []).append(server)
    yield server
    request.session.stash[SERVERS].remove(server)
    server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what the server logged last."""
    report = yield
    if report.failed:
        for server in item.session.stash.get(SERVERS, []):
            report.sections.append((f"log of durastack ({server.folder.name})", server.log_tail()))
    return report
