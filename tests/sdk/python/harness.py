"""A durastack of one's own: start it, kill it, deploy to it, wait for it.

The binary is DURASTACK_BIN, or target/debug/durastack of this checkout. It runs in
tests/sdk/node, whose node_modules hold the durable SDK for JavaScript, and finds the
one for Python in the environment that runs these tests.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "fixtures" / "samples"
NODE_FOLDER = ROOT / "tests" / "sdk" / "node"
BINARY = Path(os.environ.get("DURASTACK_BIN", ROOT / "target" / "debug" / "durastack"))
REGION = "us-east-1"
ROLE = "arn:aws:iam::000000000000:role/durastack"
PATIENCE_SECONDS = 30
RUNTIMES = {"python": ("python3.13", "handler.handler"), "node": ("nodejs22.x", "index.handler")}
ENDS = {"ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionStopped"}

ORDER = {
    "orderId": "A-1001",
    "customer": "Ada",
    "items": [{"sku": "tea", "quantity": 2}, {"sku": "mug", "quantity": 1}],
}
APPROVED = b'{"approved": true, "by": "Grace"}'
ORDER_RESULT = {
    "orderId": "A-1001",
    "customer": "Ada",
    "status": "SHIPPED",
    "stockAttempts": 2,
    "lines": [
        {"sku": "tea", "quantity": 2, "unitPrice": 890, "amount": 1780},
        {"sku": "mug", "quantity": 1, "unitPrice": 1700, "amount": 1700},
    ],
    "total": 3480,
    "currency": "EUR",
    "approvedBy": "Grace",
    "parcel": "P-A-1001",
    "message": "Dear Ada, your order A-1001 is on its way.",
    "shipments": ["P-A-1001/tea x 2", "P-A-1001/mug x 1"],
    "invoice": {"number": "I-A-1001", "amount": 3480},
}


def wait_for(predicate, what, seconds=PATIENCE_SECONDS):
    """Polls until `predicate` returns something true, and returns that; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = predicate()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def absent(what):
    """A test cannot run for want of something: a reason to skip by hand, but a failure where everything is installed."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def zipped(code):
    """The bytes of a package: of a folder, of {name: text or bytes}, or of the text of handler.py."""
    if isinstance(code, str):
        code = {"handler.py": code}
    if isinstance(code, Path):
        files = (path for path in sorted(code.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
        code = {path.relative_to(code).as_posix(): path.read_bytes() for path in files}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in code.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


def error_of(call, **arguments):
    """Makes a call that must be refused; returns (status, code, message)."""
    try:
        answer = call(**arguments)
    except ClientError as problem:
        body = problem.response
        return body["ResponseMetadata"]["HTTPStatusCode"], body["Error"]["Code"], body["Error"]["Message"]
    raise AssertionError(f"not refused: {answer}")


class Server:
    """One durastack process and the data folder that outlives it."""

    def __init__(self, folder, cwd=NODE_FOLDER, flags=(), environment=None):
        self.folder, self.cwd, self.flags = Path(folder), cwd, list(flags)
        self.environment = environment or {}
        self.log = self.folder / "server.log"
        self.process, self.endpoint, self.ready, self.port = None, None, {}, 0
        self.start()

    # Life

    def start(self):
        """Starts the process; on the port it had before, if it had one."""
        assert BINARY.exists(), f"{BINARY} is missing: build it, or set DURASTACK_BIN"
        ready_file = self.folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        command = [
            BINARY,
            "start",
            "--port",
            str(self.port),
            "--data",
            self.folder / "data",
            "--ready-file",
            ready_file,
        ]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "DURASTACK_"))}
        if sys.prefix != sys.base_prefix:
            inherited["VIRTUAL_ENV"] = sys.prefix
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.flags],
                cwd=self.cwd,
                env={**inherited, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def is_ready():
            assert self.process.poll() is None, f"durastack ended with {self.process.returncode}:\n{self.log_tail()}"
            try:
                return json.loads(ready_file.read_text(encoding="utf-8"))
            except (FileNotFoundError, json.JSONDecodeError):
                return None

        self.ready = wait_for(is_ready, "the ready file")
        self.endpoint = self.ready["endpoint"]
        self.port = int(self.endpoint.rsplit(":", 1)[1].strip("/"))

    def kill9(self):
        """As a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=PATIENCE_SECONDS)

    def stop(self, by=signal.SIGTERM):
        """Asks politely; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"durastack did not end on {by.name}") from None

    def restart(self):
        if self.process.poll() is None:
            self.stop()
        self.start()

    def log_tail(self, lines=60):
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    # Clients

    def client(
        self, service="lambda", attempts=3, key="test", secret="test", region=REGION, read_seconds=90, **more
    ):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(
                retries={"total_max_attempts": attempts, "mode": "standard"},
                read_timeout=read_seconds,
                connect_timeout=5,
                proxies={},
                max_pool_connections=60,
            ),
            **more,
        )

    @property
    def aws(self):
        if getattr(self, "_aws", None) is None:
            self._aws = self.client()
        return self._aws

    def admin(self, method, path, body=None):
        """A call of the admin API; returns (status, parsed body)."""
        request = urllib.request.Request(
            f"{self.endpoint}/_durastack/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as problem:
            status, text = problem.code, problem.read()
        return status, json.loads(text) if text else None

    def advance(self, by):
        """Moves the clock, say by "60s" or "30d"; what became due has happened on return."""
        status, body = self.admin("POST", "clock/advance", {"by": by})
        assert status == 200, body
        return body

    # Functions

    def deploy(self, name, code, runtime="python3.13", handler="handler.handler", durable=True, env=None, **more):
        """Creates a function and waits until it is active; returns its ARN."""
        settings = {"Timeout": 30, **more}
        if durable:
            settings.setdefault("DurableConfig", {"ExecutionTimeout": 3600, "RetentionPeriodInDays": 7})
        if env:
            settings["Environment"] = {"Variables": env}
        created = self.aws.create_function(
            FunctionName=name, Role=ROLE, Runtime=runtime, Handler=handler, Code={"ZipFile": zipped(code)}, **settings
        )
        self.aws.get_waiter("function_active_v2").wait(FunctionName=name)
        return created["FunctionArn"]

    def deploy_order(self, language, name=None, env=None, wrapper=False, **more):
        """The sample order and the price list it calls; `wrapper` sends its checkpoints to CHECKPOINT_PROXY."""
        name = name or f"order-{language}"
        price = f"{name}-price"
        runtime, handler = RUNTIMES[language]
        code = {path.name: path.read_text(encoding="utf-8") for path in (SAMPLES / f"order-{language}").glob("*.*")}
        if wrapper:
            wrapped_name, wrapped = WRAPPERS[language]
            code[wrapped_name], handler = wrapped, "proxied.handler"
        self.deploy(
            price,
            SAMPLES / "price-python",
            durable=False,
            env={"LOOKUP_SECONDS": (env or {}).get("LOOKUP_SECONDS", "0.5")},
        )
        variables = {"WAIT_SECONDS": "60", "RETRY_SECONDS": "60", "PRICE_FUNCTION": price, **(env or {})}
        self.deploy(name, code, runtime=runtime, handler=handler, env=variables, **more)
        return name

    # Executions

    def start_execution(self, function, payload=None, name=None, qualifier="$LATEST"):
        """Invokes with Event; returns the ARN of the execution."""
        naming = {"DurableExecutionName": name} if name else {}
        answer = self.aws.invoke(
            FunctionName=function,
            Qualifier=qualifier,
            InvocationType="Event",
            Payload=json.dumps(payload if payload is not None else {}).encode(),
            **naming,
        )
        assert answer["StatusCode"] == 202
        assert answer["Payload"].read() == b""
        return answer["DurableExecutionArn"]

    def history(self, arn, aws=None, **options):
        """All events, over as many pages as there are."""
        pages = (aws or self.aws).get_paginator("get_durable_execution_history")
        return [event for page in pages.paginate(DurableExecutionArn=arn, **options) for event in page["Events"]]

    def execution(self, arn, **options):
        return self.aws.get_durable_execution(DurableExecutionArn=arn, **options)

    def wait_for_event(self, arn, event_type, count=1, seconds=PATIENCE_SECONDS):
        """The `count`-th event of a type, once it is there."""

        def found():
            events = [event for event in self.history(arn) if event["EventType"] == event_type]
            return events[count - 1] if len(events) >= count else None

        return wait_for(found, f"{event_type} number {count} of {arn}", seconds)

    def wait_for_end(self, arn, seconds=PATIENCE_SECONDS):
        """The whole history, once the execution has ended."""

        def ended():
            events = self.history(arn)
            return events if events[-1]["EventType"] in ENDS else None

        return wait_for(ended, f"the end of {arn}", seconds)

    def wait_until_suspended(self, arn, seconds=PATIENCE_SECONDS):
        """The history, once its last event is the end of an invocation."""

        def suspended():
            events = self.history(arn)
            return events if events[-1]["EventType"] == "InvocationCompleted" else None

        return wait_for(suspended, f"{arn} to suspend", seconds)

    def suspended(self, function, payload=None, **more):
        """Starts an execution and waits until its first invocation has ended; returns its ARN."""
        arn = self.start_execution(function, payload, **more)
        self.wait_until_suspended(arn)
        return arn

    def drive(self, arn, answer=APPROVED, seconds=PATIENCE_SECONDS, before_poll=lambda: None, aws=None):
        """Plays the people and the passing of time until an execution ends; returns its history.

        Acts only on a suspended execution, so that the order of events does not depend on speed.
        """
        aws = aws or self.aws
        events, done = [], set()

        def ended():
            nonlocal events
            before_poll()
            try:
                events = self.history(arn, aws)
                if events[-1]["EventType"] == "InvocationCompleted":
                    self.answer_what_is_open(events, answer, done, aws)
            except (BotoCoreError, OSError, aws.exceptions.CallbackTimeoutException):
                return False  # killed meanwhile, or the answer of the last round did arrive
            return events[-1]["EventType"] in ENDS

        wait_for(ended, f"the end of {arn}", seconds)
        return events

    def answer_what_is_open(self, events, answer=APPROVED, done=None, aws=None):
        """Answers open callbacks and lets open waits and retries pass; each once, by its id in `done`."""
        done = set() if done is None else done
        latest = {event["Id"]: event for event in events if "Id" in event}
        for event in latest.values():
            if event["EventId"] in done:
                continue
            kind, body = event["EventType"], next((v for k, v in event.items() if k.endswith("Details")), {})
            delay = body.get("RetryDetails", {}).get("NextAttemptDelaySeconds")
            if kind == "CallbackStarted":
                (aws or self.aws).send_durable_execution_callback_success(CallbackId=body["CallbackId"], Result=answer)
            elif kind == "WaitStarted":
                self.advance(f"{body['Duration']}s")
            elif delay:
                self.advance(f"{delay}s")
            else:
                continue
            done.add(event["EventId"])


# Handlers that point the SDK at CHECKPOINT_PROXY before it makes its client.
WRAPPERS = {
    "python": (
        "proxied.py",
        "import os\n"
        'os.environ["AWS_ENDPOINT_URL_LAMBDA"] = os.environ["CHECKPOINT_PROXY"]\n'
        "from handler import handler\n",
    ),
    "node": (
        "proxied.mjs",
        "process.env.AWS_ENDPOINT_URL_LAMBDA = process.env.CHECKPOINT_PROXY;\n"
        'export const handler = (await import("./index.mjs")).handler;\n',
    ),
}


def processes_with(marker):
    """Ids of living processes whose environment holds the text `marker` (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes() and "Z" not in state_of(folder):
                found.append(int(folder.name))
        except OSError:
            continue  # ended meanwhile, or not ours
    return found


def state_of(folder):
    """The one-letter state in /proc/ID/stat; Z is a zombie."""
    return (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
