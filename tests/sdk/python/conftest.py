"""Fixtures: a server per module, or one per test where the test kills it."""

import os
import re

import pytest
import workflows
from harness import NODE_FOLDER, Server

SERVERS = pytest.StashKey[list]()


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    """A running durastack, shared by the tests of a module."""
    yield from _serve(request, tmp_path_factory.mktemp("durastack"))


@pytest.fixture
def fresh_server(request, tmp_path):
    """A running durastack with an empty data folder, for this test alone."""
    yield from _serve(request, tmp_path)


@pytest.fixture(scope="module")
def aws(server):
    """A boto3 client for Lambda."""
    return server.aws


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
        if os.environ.get("CI"):
            pytest.fail("run npm ci in tests/sdk/node first")
        pytest.skip("run npm ci in tests/sdk/node first")


@pytest.fixture(params=["python", "node"])
def language(request):
    """Runs a test for the order in both languages."""
    if request.param == "node":
        request.getfixturevalue("node_modules")
    return request.param


def _serve(request, folder):
    server = Server(folder)
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
