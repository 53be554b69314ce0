"""Proves what Serverless Workflow refuses, and that each SDK raises its own exception for it.

Keys, signatures and times; operations and versions that are not there; the document of an
error; who may say what where in a request.
"""

import re
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import flows
import pytest
from alibabacloud_fnf20190315 import models
from alibabacloud_fnf20190315.client import Client
from alibabacloud_tea_openapi import utils as tea_utils
from alibabacloud_tea_openapi.client import Client as OpenApiClient
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.utils import parameter_helper as core_utils
from darabonba.runtime import RuntimeOptions
from fnf import NOT_BUILT, OPERATIONS, REGION, VERSION, ByHand, Core, Refused, Tea, ask, signed
from signing import send

KINDS = {"tea": Tea, "core": Core, "hand": ByHand}
OWN = {"tea": ClientException, "core": ServerException}
UNFIT = [("secret", (403, "SignatureNotMatch")), ("key", (403, "InvalidAccessKeyID"))]
METHODS = pytest.mark.parametrize("method", ["GET", "POST"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("wrong", "expected"), UNFIT)
@pytest.mark.parametrize("action", ["ListFlows", "CreateFlow", "ReportTaskSucceeded"])
def test_wrong_keys(server, kind, wrong, expected, action):
    """A read, a write, and one whose parameters stand in query and form."""
    parameters = {
        "ListFlows": {},
        "CreateFlow": {"Name": "never", "Definition": flows.PASSES, "Description": "", "Type": "FDL"},
        "ReportTaskSucceeded": {"TaskToken": "a+b/c==", "Output": "{}"},
    }[action]
    client = KINDS[kind](server, **{wrong: "wrong"})
    with pytest.raises(Refused) as refusal:
        client.call(action, **parameters)
    assert (refusal.value.status, refusal.value.code) == expected
    if kind in OWN:
        assert type(refusal.value.cause) is OWN[kind]
    if wrong == "secret":
        assert " server string to sign is:" in refusal.value.message


def stamp(minutes):
    return (datetime.now(timezone.utc) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


@METHODS
@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (0, 200), (14, 200), (16, 403)])
def test_skewed_time(server, method, minutes, status):
    answer = ask(server, signed("ListFlows", method=method, Timestamp=stamp(minutes)), method)
    assert answer.status == status
    if status != 200:
        assert answer.json["Code"] == "RequestTimeTooSkewed"


def set_clocks(monkeypatch, minutes):
    """Puts the clocks that the two SDKs sign by this far ahead; all else keeps the real time."""

    class Ahead(datetime):
        @classmethod
        def utcnow(cls):
            return datetime.now(timezone.utc) + timedelta(minutes=minutes)

    def gmtime():
        return time.gmtime(time.time() + 60 * minutes)

    monkeypatch.setattr(tea_utils, "datetime", Ahead)
    clock = SimpleNamespace(time=time.time, strftime=time.strftime, gmtime=gmtime)
    monkeypatch.setattr(core_utils, "time", clock)


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_skewed_clock_through_an_sdk(server, monkeypatch, kind, minutes):
    """It surfaces as that SDK's own exception, for a read and for a write."""
    client = KINDS[kind](server)
    flow = {"Name": "never", "Definition": flows.PASSES, "Description": "", "Type": "FDL"}
    set_clocks(monkeypatch, minutes)
    for action, parameters in (("ListFlows", {}), ("CreateFlow", flow)):
        with pytest.raises(Refused) as refusal:
            client.call(action, **parameters)
        assert (refusal.value.status, refusal.value.code) == (403, "RequestTimeTooSkewed")
        assert type(refusal.value.cause) is OWN[kind]
    set_clocks(monkeypatch, 0)
    assert client.refused("DescribeFlow", Name="never")[:2] == (404, "FlowNotExists")


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("minutes", [-14, 14])
def test_a_clock_that_is_near_enough_through_an_sdk(server, monkeypatch, kind, minutes):
    set_clocks(monkeypatch, minutes)
    assert "Flows" in KINDS[kind](server).call("ListFlows")


def test_the_clock_that_is_turned_is_not_the_one_of_signatures(fresh_server):
    fresh_server.advance("30d")
    assert Tea(fresh_server).call("ListFlows")["Flows"] == []
    assert Core(fresh_server).call("ListFlows")["Flows"] == []


@METHODS
@pytest.mark.parametrize(
    "common",
    [
        {"SignatureMethod": "HMAC-SHA9"},
        {"SignatureVersion": "9.9"},
        {"Timestamp": "yesterday"},
        {"Timestamp": None},
        {"AccessKeyId": None},
    ],
    ids=str,
)
def test_unfit_signatures(server, method, common):
    answer = ask(server, signed("ListFlows", method=method, **common), method)
    assert 400 <= answer.status < 500
    assert answer.json["Code"]


@METHODS
def test_without_a_signature(server, method):
    parameters = signed("ListFlows", method=method)
    del parameters["Signature"]
    answer = ask(server, parameters, method)
    assert 400 <= answer.status < 500
    assert answer.json["Code"] == "MissingRequiredParams"


def test_a_signature_is_for_one_method_and_one_text(server):
    parameters = signed("ListFlows", {"Limit": "5"}, method="GET")
    assert ask(server, parameters, "POST").json["Code"] == "SignatureNotMatch"
    parameters = signed("ListFlows", {"Limit": "5"}, method="GET")
    assert ask(server, {**parameters, "Limit": "6"}, "GET").json["Code"] == "SignatureNotMatch"
    parameters = signed("ListFlows", method="GET")
    assert ask(server, {**parameters, "Added": "x"}, "GET").json["Code"] == "SignatureNotMatch"


def test_where_parameters_stand(server, name):
    """All of them, or some, in the query or in the form: it is the union that counts."""
    parameters = {"Name": name, "Definition": flows.PASSES + "# + %20 ü\n", "Description": "", "Type": "FDL"}
    for places in ((), ("Action",), ("Action", "Version", "Name", "Signature"), ("Signature", "SignatureNonce")):
        answer = ask(server, signed("CreateFlow", parameters), in_query=places)
        assert answer.status == 200, answer.body
        assert answer.json["Definition"] == parameters["Definition"]
        assert ask(server, signed("DeleteFlow", {"Name": name}, "GET"), "GET").status == 200


def test_empty_and_unknown_parameters(server):
    more = {"SignatureType": "", "RegionId": REGION, "SourceIp": "127.0.0.1", "SecureTransport": "false"}
    assert ask(server, signed("ListFlows", more)).status == 200


def test_a_callers_request_id(server):
    answer = ask(server, signed("ListFlows", {"RequestId": "0F0E-mine"}))
    assert answer.json["RequestId"] == answer.headers["x-acs-request-id"] == "0F0E-mine"


# What is not there


@pytest.mark.parametrize("action", NOT_BUILT)
def test_operations_that_are_not_built(server, action):
    for method in ("GET", "POST"):
        answer = ask(server, signed(action, {"FlowName": "f", "Name": "n"}, method), method)
        assert (answer.status, answer.json["Code"]) == (400, "ActionNotSupported")
        assert action in answer.json["Message"]


def test_all_operations_are_told_apart(server):
    assert len({*OPERATIONS, *NOT_BUILT}) == 29
    for action in OPERATIONS:
        answer = ask(server, signed(action))
        assert answer.json.get("Code") != "ActionNotSupported", action
        # Those that need something say so.
        assert (answer.status, action == "ListFlows") in [(400, False), (200, True)], action


@pytest.mark.parametrize("kind", ["tea", "core"])
def test_an_operation_that_is_not_built_through_an_sdk(server, kind):
    outcome = KINDS[kind](server).refused("ListSchedules", FlowName="f")
    assert outcome[:2] == (400, "ActionNotSupported")


@pytest.mark.parametrize("action", ["Fly", "listflows", "", "CreateFlow "])
def test_operations_that_nobody_knows(server, action):
    answer = ask(server, signed(action))
    assert answer.status == 400
    assert answer.json["Code"] == ("ActionNotSupported" if action else "MissingRequiredParams")


def test_other_versions(server):
    answer = ask(server, signed("ListFlows", Version="2016-01-01"))
    assert (answer.status, answer.json["Code"]) == (400, "APIVersionNotSupported")


@pytest.mark.parametrize("kind", ["tea", "core"])
def test_too_large(server, kind):
    definition = "x" * 1_100_000
    outcome = KINDS[kind](server).refused("CreateFlow", Name="large", Definition=definition, Description="", Type="FDL")
    assert outcome[:2] == (400, "EntityTooLarge")


# Documents


def test_the_document_of_an_error(server):
    for format_ in ("JSON", "json", "XML"):
        answer = ask(server, signed("DescribeFlow", {"Name": "nowhere"}, Format=format_))
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/json;charset=utf-8"
        document = answer.json
        assert (document["Code"], document["Message"]) == ("FlowNotExists", "Flow 'nowhere' does not exist.")
        assert document["RequestId"] == answer.headers["x-acs-request-id"]
        assert document["HostId"]


def test_the_document_of_an_answer(server):
    answer = ask(server, signed("ListFlows"))
    assert answer.headers["content-type"] == "application/json;charset=utf-8"
    assert "Code" not in answer.json
    assert "NextToken" not in answer.json
    assert re.match(r"^[0-9A-Fa-f-]{36}$", answer.json["RequestId"])
    assert answer.json["RequestId"] == answer.headers["x-acs-request-id"]


# Other ways to call


def test_an_endpoint_with_its_scheme(server):
    """Tea sends it as Host, scheme and all."""
    config = Config(access_key_id="test", access_key_secret="test", region_id=REGION, endpoint=server.endpoint)
    client = Client(config)
    assert client.list_flows(models.ListFlowsRequest()).status_code == 200


@pytest.mark.parametrize("secret", ["test", "wrong"])
def test_signatures_in_headers(server, name, secret):
    """ACS3-HMAC-SHA256, as generic OpenAPI clients sign."""
    client = OpenApiClient(
        Config(
            access_key_id="test",
            access_key_secret=secret,
            region_id=REGION,
            endpoint=f"127.0.0.1:{server.port}",
            protocol="http",
            signature_algorithm="ACS3-HMAC-SHA256",
        )
    )

    def call(action, method, query=None, form=None):
        params = Params(
            action=action,
            version=VERSION,
            protocol="HTTP",
            pathname="/",
            method=method,
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        return client.call_api(params, OpenApiRequest(query=query, body=form), RuntimeOptions())["body"]

    if secret == "wrong":
        with pytest.raises(ClientException) as refusal:
            call("ListFlows", "GET", {"Limit": "5"})
        assert (refusal.value.status_code, refusal.value.code) == (403, "SignatureNotMatch")
        return
    form = {"Name": name, "Definition": flows.PASSES, "Description": "ü", "Type": "FDL"}
    assert call("CreateFlow", "POST", form=form)["Definition"] == flows.PASSES
    assert call("DescribeFlow", "GET", {"Name": name})["Name"] == name


def test_a_web_page_may_not(server):
    """Neither method needs leave of a browser, so the door must refuse."""
    for method in ("GET", "POST"):
        parameters = signed("ListFlows", method=method)
        line = "&".join(f"{name}={value}" for name, value in parameters.items())
        headers = {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"}
        target, body = ("/?" + line, b"") if method == "GET" else ("/", line.encode())
        assert send(server, method, target, headers, body).status == 403
