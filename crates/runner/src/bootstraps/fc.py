"""durastack's Python bootstrap for Function Compute: runs an event function against the Runtime API.

Modules are loaded by the first call that needs them, so a failure of loading is one of that call, and the next call
tries again. Its only argument says what is the same in every context.
"""

import importlib
import json
import logging
import os
import sys
import time
import traceback
from types import SimpleNamespace

from durastack_runtime import FRAME_TEXT, Fault, Invocation, Records, RuntimeApi, start_in

FACTS = json.loads(sys.argv[1])
start_in(os.environ["FC_FUNC_CODE_PATH"])
loaded = {}


class Formatter(logging.Formatter):
    converter = time.gmtime

    def __init__(self):
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(aws_request_id)s [%(levelname)s] %(message)s", "%Y-%m-%dT%H:%M:%S"
        )


def context():
    """What a handler is told, in one shape for all versions.

    Differs: from Python 3.12 on the real service leaves out credentials and service; version_id and qualifier stand
    in both places here, where FC 2.0 has them and where FC 3.0 has them.
    """
    function, service = FACTS["function"], FACTS["service"]
    return SimpleNamespace(
        request_id=Invocation.request_id,
        credentials=SimpleNamespace(
            access_key_id=os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", ""),
            access_key_secret=os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ""),
            security_token=os.environ.get("ALIBABA_CLOUD_SECURITY_TOKEN", ""),
        ),
        function=SimpleNamespace(
            name=function["name"],
            handler=function["handler"],
            memory=function["memory"],
            timeout=function["timeout"],
            initializer=function["initializer"],
            initialization_timeout=function["initializationTimeout"],
            version_id=function["versionId"],
            qualifier=function["qualifier"],
        ),
        service=SimpleNamespace(
            name=service["name"],
            log_project=service["logProject"],
            log_store=service["logStore"],
            version_id=service["versionId"],
            qualifier=service["qualifier"],
        ),
        region=FACTS["region"],
        account_id=FACTS["accountId"],
        logger=logging.getLogger(),
        log_project=service["logProject"],
        log_store=service["logStore"],
        tracing=SimpleNamespace(span_context=None, jaeger_endpoint=None, span_baggages={}),
        retry_count=0,
    )


def load(name):
    """The function that `name` means: `index.handler`, also with folders before it."""
    if name in loaded:
        return loaded[name]
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("InvalidHandlerName", "Invalid handler '%s'" % name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except SyntaxError as error:
        place = ['File "%s"' % error.filename, "line %s" % error.lineno, (error.text or "").strip()]
        raise Fault("UserCodeSyntaxError", "Syntax error in module '%s'" % module_name, place + last_line(error)) from None
    except ImportError as error:
        place = [text for frame in user_frames(error)[-1:] for text in frame_texts(frame) if not text.startswith("in ")]
        raise Fault("ImportModuleError", "Unable to import module '%s'" % module_name, place + last_line(error)) from None
    try:
        loaded[name] = getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' is missing on module '%s'" % (function_name, module_name)
        raise Fault("HandlerNotFound", message) from None
    return loaded[name]


def last_line(error):
    return [text.strip() for text in traceback.format_exception_only(type(error), error)[-1:]]


def user_frames(error):
    """Without our own and the importer's."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f for f in frames if f.filename not in (__file__, importlib.__file__) and not f.filename.startswith("<frozen")]


def frame_texts(frame):
    return ['File "%s"' % frame.filename, "line %d" % (frame.lineno or 0), "in %s" % frame.name, frame.line or ""]


def describe(error):
    """The document of a failure."""
    if isinstance(error, Fault):
        kind, stack = error.kind, error.stack
    else:
        kind, stack = type(error).__name__, [frame_texts(frame) for frame in user_frames(error)]
    document = {"errorMessage": str(error), "errorType": kind, "stackTrace": stack}
    text = json.dumps(document, ensure_ascii=False)
    logging.getLogger().error(text)
    return text.encode("utf-8", "backslashreplace")


def marshal(result):
    """Texts and bytes go out as they are, everything else as JSON."""
    if isinstance(result, (bytes, bytearray)):
        return bytes(result)
    if isinstance(result, str):
        return result.encode("utf-8")
    return json.dumps(result).encode("utf-8")


def post_error(api, path, error):
    api.call("POST", path, describe(error), [("lambda-runtime-function-error-type", "UnhandledInvocationError")])


def serve(api):
    while True:
        status, headers, body = api.call("GET", "invocation/next")
        if status != 200:
            sys.exit(1)
        Invocation.request_id = headers["lambda-runtime-aws-request-id"]
        path = "invocation/%s/" % Invocation.request_id
        try:
            answer = marshal(load(FACTS["function"]["handler"])(body, context()))
        except Exception as error:
            post_error(api, path + "error", error)
            continue
        api.call("POST", path + "response", answer)
        body = answer = None


def main():
    root = logging.getLogger()
    root.addHandler(Records(FRAME_TEXT, Formatter()))
    root.setLevel(logging.INFO)
    try:
        api = RuntimeApi(FACTS["api"])
    except OSError:
        os._exit(1)
    initializer = FACTS["function"]["initializer"]
    if initializer is not None:
        Invocation.request_id = FACTS["requestId"]
        try:
            load(initializer)(context())
        except Exception as error:
            post_error(api, "init/error", error)
            sys.exit(1)
    serve(api)


main()
