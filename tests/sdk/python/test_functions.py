"""Proves that functions, versions and aliases live as boto3 expects: create, change, publish, list, delete.

Cases F1, F2, F5, F6 and the refusals of bad input, after each of which the server goes on.
"""

import base64
import hashlib
import io
import json
import urllib.request
import zipfile

import pytest
from botocore.exceptions import ClientError
from harness import ROLE, error_of, wait_for, zipped
from signing import send, signed

FUNCTIONS = "/2015-03-31/functions"


def answering(text):
    """Source of a handler that answers with a fixed text."""
    return f"def handler(event, context):\n    return {text!r}\n"


def create(aws, name, code=None, **more):
    settings = {"Runtime": "python3.13", "Handler": "handler.handler", "Role": ROLE, **more}
    return aws.create_function(FunctionName=name, Code={"ZipFile": zipped(code or answering("one"))}, **settings)


def settle(aws, name):
    aws.get_waiter("function_updated_v2").wait(FunctionName=name)


def invoke(aws, name, **more):
    answer = aws.invoke(FunctionName=name, **more)
    assert "FunctionError" not in answer, answer["Payload"].read()
    return answer["ExecutedVersion"], json.loads(answer["Payload"].read())


def test_create_wait_get(aws, name):
    package = zipped(answering("one"))
    created = aws.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="handler.handler",
        Role=ROLE,
        Code={"ZipFile": package},
        Description="says one",
        Timeout=7,
        MemorySize=256,
        Environment={"Variables": {"COLOUR": "blue"}},
        DurableConfig={"ExecutionTimeout": 3600},
    )
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["FunctionArn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert created["State"] in ("Pending", "Active")
    assert created["Version"] == "$LATEST"
    assert created["CodeSize"] == len(package)
    assert created["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    aws.get_waiter("function_active_v2").wait(FunctionName=name)
    found = aws.get_function(FunctionName=name)
    configuration = found["Configuration"]
    assert configuration["State"] == "Active"
    assert configuration["LastUpdateStatus"] == "Successful"
    assert (configuration["Timeout"], configuration["MemorySize"]) == (7, 256)
    assert configuration["Environment"]["Variables"] == {"COLOUR": "blue"}
    assert configuration["DurableConfig"]["ExecutionTimeout"] == 3600
    assert configuration["DurableConfig"]["RetentionPeriodInDays"] == 14, "the default"
    with urllib.request.urlopen(found["Code"]["Location"]) as download:
        assert zipfile.ZipFile(io.BytesIO(download.read())).namelist() == ["handler.py"]


def test_create_twice(aws, name):
    create(aws, name)
    status, code, message = error_of(lambda: create(aws, name))
    assert (status, code) == (409, "ResourceConflictException")
    assert name in message


def test_durable_needs_an_execution_timeout(aws, name):
    status, code, message = error_of(lambda: create(aws, name, DurableConfig={"RetentionPeriodInDays": 1}))
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message == "You cannot create a function with a durable configuration without an executionTimeout"


def test_durability_is_decided_at_creation(aws, name):
    create(aws, name)
    aws.get_waiter("function_active_v2").wait(FunctionName=name)
    status, code, _ = error_of(
        aws.update_function_configuration, FunctionName=name, DurableConfig={"ExecutionTimeout": 60}
    )
    assert (status, code) == (400, "InvalidParameterValueException")


def test_retention_alone_can_be_changed(server, aws, name):
    server.deploy(name, answering("one"))
    updated = aws.update_function_configuration(FunctionName=name, DurableConfig={"RetentionPeriodInDays": 3})
    assert updated["DurableConfig"]["RetentionPeriodInDays"] == 3
    assert updated["DurableConfig"]["ExecutionTimeout"] == 3600


def test_update_code_and_configuration(server, aws, name):
    server.deploy(name, answering("one"), durable=False)
    assert invoke(aws, name) == ("$LATEST", "one")
    before = aws.get_function_configuration(FunctionName=name)
    after = aws.update_function_code(FunctionName=name, ZipFile=zipped(answering("two")))
    assert after["CodeSha256"] != before["CodeSha256"]
    assert after["RevisionId"] != before["RevisionId"]
    settle(aws, name)
    assert invoke(aws, name) == ("$LATEST", "two")
    aws.update_function_configuration(FunctionName=name, Timeout=11, Environment={"Variables": {"A_NAME": "x"}})
    settle(aws, name)
    found = aws.get_function_configuration(FunctionName=name)
    assert found["Timeout"] == 11
    assert found["Environment"]["Variables"] == {"A_NAME": "x"}
    assert found["Handler"] == "handler.handler", "what is not mentioned stays"


def test_f1_an_update_excludes_the_next(server, aws, name):
    """The window may be short, but it exists: one of some attempts right after an update is refused."""
    arn = server.deploy(name, answering("one"), durable=False)
    impatient = server.client(attempts=1)
    for attempt in range(20):
        aws.update_function_configuration(FunctionName=name, Description=f"attempt {attempt}")
        try:
            impatient.update_function_code(FunctionName=name, ZipFile=zipped(answering("two")))
        except ClientError as problem:
            refusal = problem.response
            break
        settle(aws, name)
    else:
        raise AssertionError("no update was ever in progress")
    assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert refusal["Error"]["Code"] == "ResourceConflictException"
    assert refusal["Error"]["Message"].endswith(f"An update is in progress for resource: {arn}")
    settle(aws, name)
    aws.update_function_code(FunctionName=name, ZipFile=zipped(answering("two")))


def test_f2_invoke_before_active(server, name):
    impatient = server.client(attempts=1)
    created = create(impatient, name)
    if created["State"] == "Pending":
        try:
            impatient.invoke(FunctionName=name)
        except ClientError as problem:
            assert problem.response["ResponseMetadata"]["HTTPStatusCode"] == 409
            assert problem.response["Error"]["Code"] == "ResourceConflictException"
            assert "Pending" in problem.response["Error"]["Message"]
    impatient.get_waiter("function_active_v2").wait(FunctionName=name)
    assert invoke(impatient, name) == ("$LATEST", "one")


def test_f5_f6_versions(server, aws, name):
    arn = server.deploy(name, answering("one"), durable=False)
    assert aws.publish_version(FunctionName=name, Description="first")["Version"] == "1"
    assert aws.publish_version(FunctionName=name)["Version"] == "1", "nothing changed, so the same version"
    aws.update_function_code(FunctionName=name, ZipFile=zipped(answering("two")))
    settle(aws, name)
    second = aws.publish_version(FunctionName=name)
    assert (second["Version"], second["FunctionArn"]) == ("2", f"{arn}:2")
    aws.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2")

    partial = f"000000000000:function:{name}"
    for reference, qualifier, expected in [
        (name, "1", ("1", "one")),
        (name, "2", ("2", "two")),
        (name, "$LATEST", ("$LATEST", "two")),
        (f"{name}:1", None, ("1", "one")),
        (f"{partial}:1", None, ("1", "one")),
        (partial, "1", ("1", "one")),
        (f"{arn}:1", None, ("1", "one")),
        (f"{arn}:$LATEST", None, ("$LATEST", "two")),
        (arn, "2", ("2", "two")),
    ]:
        more = {"Qualifier": qualifier} if qualifier else {}
        assert invoke(aws, reference, **more) == expected, (reference, qualifier)
        configuration = aws.get_function(FunctionName=reference, **more)["Configuration"]
        assert configuration["Version"] == expected[0], (reference, qualifier)

    for call in (aws.invoke, aws.get_function):
        status, code, message = error_of(call, FunctionName=name, Qualifier="99")
        assert (status, code, message) == (404, "ResourceNotFoundException", f"Function not found: {arn}:99")
    status, code, message = error_of(
        aws.update_function_code, FunctionName=f"{name}:1", ZipFile=zipped(answering("three"))
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert "$LATEST" in message

    listed = aws.list_versions_by_function(FunctionName=name)["Versions"]
    assert [version["Version"] for version in listed] == ["$LATEST", "1", "2"]
    assert listed[1]["Description"] == "first"


def test_aliases(server, aws, name):
    arn = server.deploy(name, answering("one"), durable=False)
    aws.publish_version(FunctionName=name)
    created = aws.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="what users get")
    assert created["AliasArn"] == f"{arn}:live"
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    status, code, _ = error_of(aws.create_alias, FunctionName=name, Name="live", FunctionVersion="1")
    assert (status, code) == (409, "ResourceConflictException")
    assert invoke(aws, name, Qualifier="live") == ("1", "one")

    aws.update_function_code(FunctionName=name, ZipFile=zipped(answering("two")))
    settle(aws, name)
    aws.publish_version(FunctionName=name)
    updated = aws.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert updated["FunctionVersion"] == "2"
    assert updated["RevisionId"] != created["RevisionId"]
    assert invoke(aws, f"{name}:live") == ("2", "two")

    aws.create_alias(FunctionName=name, Name="newest", FunctionVersion="$LATEST")  # F8
    names = [alias["Name"] for alias in aws.list_aliases(FunctionName=name)["Aliases"]]
    assert sorted(names) == ["live", "newest"]
    only = aws.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]
    assert [alias["Name"] for alias in only] == ["live"]

    aws.delete_alias(FunctionName=name, Name="live")
    status, code, _ = error_of(aws.get_alias, FunctionName=name, Name="live")
    assert (status, code) == (404, "ResourceNotFoundException")


def test_list_pages(server, aws, name):
    made = {f"{name}-{number}" for number in range(5)}
    for each in made:
        create(aws, each)
    seen = []
    pages = 0
    for page in aws.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}):
        assert len(page["Functions"]) <= 2
        seen += [function["FunctionName"] for function in page["Functions"]]
        pages += 1
    assert made <= set(seen)
    assert len(seen) == len(set(seen)), "no function twice"
    assert pages >= 3


def test_delete(server, aws, name):
    arn = server.deploy(name, answering("one"), durable=False)
    aws.publish_version(FunctionName=name)
    aws.delete_function(FunctionName=name, Qualifier="1")
    status, code, message = error_of(aws.get_function, FunctionName=name, Qualifier="1")
    assert (status, code, message) == (404, "ResourceNotFoundException", f"Function not found: {arn}:1")
    aws.delete_function(FunctionName=name)

    def gone():
        try:
            aws.get_function(FunctionName=name)
        except aws.exceptions.ResourceNotFoundException as problem:
            return str(problem)
        return None

    assert f"Function not found: {arn}" in wait_for(gone, "the function to be gone")
    status, code, _ = error_of(aws.delete_function, FunctionName=name)
    assert (status, code) == (404, "ResourceNotFoundException")


def test_a_recreated_function_starts_its_versions_anew(server, aws, name):
    server.deploy(name, answering("one"))
    aws.publish_version(FunctionName=name)
    server.wait_for_end(server.start_execution(name))
    aws.delete_function(FunctionName=name)
    wait_for(lambda: not exists(aws, name), "the function to be gone")
    server.deploy(name, answering("two"))
    assert [v["Version"] for v in aws.list_versions_by_function(FunctionName=name)["Versions"]] == ["$LATEST"]
    assert aws.list_durable_executions_by_function(FunctionName=name)["DurableExecutions"] == []


def exists(aws, name):
    try:
        return bool(aws.get_function(FunctionName=name))
    except aws.exceptions.ResourceNotFoundException:
        return False


# Bad input


def test_malformed_json(server, aws, name):
    for body in (b"{", b"[]", b"\xff\xfe", b'{"FunctionName": 7}'):
        answer = send(server, "POST", FUNCTIONS, signed(server, "POST", FUNCTIONS, body), body)
        assert 400 <= answer.status < 500, (body, answer)
        assert answer.code, "every error has a name"
    assert aws.list_functions()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_unknown_function(aws):
    expected = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nobody"
    for call in (aws.get_function, aws.get_function_configuration, aws.invoke, aws.delete_function):
        status, code, message = error_of(call, FunctionName="nobody")
        assert (status, code, message) == (404, "ResourceNotFoundException", expected), call.__name__


def test_a_name_that_is_too_long(aws):
    status, code, message = error_of(lambda: create(aws, "n" * 65))
    assert status == 400
    assert code in ("ValidationException", "InvalidParameterValueException")
    assert "n" * 65 in message, "the value that broke the rule"


@pytest.mark.parametrize("bad", ["with space", "ünïcode", "a/b"])
def test_a_name_with_wrong_letters(aws, bad):
    status, code, _ = error_of(lambda: create(aws, bad))
    assert (status, code) == (400, "ValidationException")


def test_a_zip_that_is_none(aws, name):
    status, code, message = error_of(
        aws.create_function,
        FunctionName=name,
        Runtime="python3.13",
        Handler="handler.handler",
        Role=ROLE,
        Code={"ZipFile": b"this is no archive"},
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert "unzip" in message
    assert not exists(aws, name)


def test_a_zip_that_climbs_out(server, aws, name, tmp_path):
    """Entries that leave the folder are refused, or land inside; nothing appears outside."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("handler.py", answering("one"))
        archive.writestr("../../../../../../../../.." + str(tmp_path / "escaped"), "x")
    try:
        aws.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="handler.handler",
            Role=ROLE,
            Code={"ZipFile": packed.getvalue()},
        )
        aws.get_waiter("function_active_v2").wait(FunctionName=name)
        aws.invoke(FunctionName=name)
    except ClientError as problem:
        assert problem.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert not (tmp_path / "escaped").exists()


def test_reserved_variables(aws, name):
    status, code, message = error_of(
        lambda: create(aws, name, Environment={"Variables": {"AWS_REGION": "x", "AWS_ACCESS_KEY": "y", "FINE": "z"}})
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message.startswith("Lambda was unable to configure your environment variables because the environment")
    assert "Reserved keys used in this request: " in message
    assert "AWS_REGION" in message and "AWS_ACCESS_KEY" in message and "FINE" not in message
    assert not exists(aws, name)


@pytest.mark.parametrize("variable", ["_HANDLER", "A", "1A"])
def test_variables_with_wrong_names(aws, name, variable):
    status, code, _ = error_of(lambda: create(aws, name, Environment={"Variables": {variable: "x"}}))
    assert (status, code) == (400, "ValidationException")


def test_too_many_variables(aws, name):
    status, code, message = error_of(lambda: create(aws, name, Environment={"Variables": {"LONG": "x" * 4096}}))
    assert (status, code) == (400, "InvalidParameterValueException")
    assert "4KB limit" in message


@pytest.mark.parametrize(
    "settings",
    [{"Timeout": 0}, {"Timeout": 100000}, {"MemorySize": 1}, {"DurableConfig": {"ExecutionTimeout": 0}}],
    ids=lambda settings: next(iter(settings)),
)
def test_numbers_out_of_range(server, settings):
    """Sent by hand, because boto3 checks some of them itself."""
    body = json.dumps(
        {
            "FunctionName": "out-of-range",
            "Runtime": "python3.13",
            "Handler": "handler.handler",
            "Role": ROLE,
            "Code": {"ZipFile": base64.b64encode(zipped(answering("one"))).decode()},
            **settings,
        }
    ).encode()
    answer = send(server, "POST", FUNCTIONS, signed(server, "POST", FUNCTIONS, body), body)
    assert answer.status == 400
    assert answer.code in ("ValidationException", "InvalidParameterValueException")
