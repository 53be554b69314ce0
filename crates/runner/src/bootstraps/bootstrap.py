"""durastack's Python bootstrap: runs a Lambda handler against the Runtime API, with the standard library alone."""

import json
import logging
import os
import sys
import time
import traceback

from durastack_runtime import FRAME_JSON, FRAME_TEXT, LEVELS, Fault, Invocation, Records, RuntimeApi, send_record, start_in

# What AWS's runtime brings along and a plain interpreter does not, and the package that has it.
BUNDLED = {
    "boto3": "boto3",
    "botocore": "boto3",
    "s3transfer": "boto3",
    "jmespath": "boto3",
    "aws_durable_execution_sdk_python": "aws-durable-execution-sdk-python",
}
JSON_FORMAT = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
RECORD = FRAME_JSON if JSON_FORMAT else FRAME_TEXT
start_in(os.environ["LAMBDA_TASK_ROOT"])


class TextFormatter(logging.Formatter):
    converter = time.gmtime

    def __init__(self):
        super().__init__(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"
        )


STANDARD_FIELDS = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "tenant_id"}


class JsonFormatter(logging.Formatter):
    converter = time.gmtime

    def format(self, record):
        fields = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0]:
            kind, value, trace = record.exc_info
            fields["stackTrace"] = traceback.format_tb(trace)
            fields["errorType"] = kind.__name__
            fields["errorMessage"] = str(value)
            last = traceback.extract_tb(trace)[-1:]
            fields["location"] = "".join("%s:%s:%d" % (f.filename, f.name, f.lineno) for f in last)
        if record.aws_request_id:
            fields["requestId"] = record.aws_request_id
        if record.tenant_id is not None:
            fields["tenantId"] = record.tenant_id
        for name, value in vars(record).items():
            if name not in STANDARD_FIELDS and name not in fields:
                fields[name] = value
        return json.dumps(fields, ensure_ascii=False, default=str)


def set_up_logging():
    root = logging.getLogger()
    root.addHandler(Records(RECORD, JsonFormatter() if JSON_FORMAT else TextFormatter()))
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in LEVELS:
        root.setLevel({"TRACE": "DEBUG", "WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level))


def post(api, path, body, what, headers=()):
    status, _, answer = api.call("POST", path, body, headers)
    if status != 202:
        text = "[ERROR] [%d] LAMBDA_RUNTIME Failed to post handler %s response. Http response code: %d. %s\n"
        sys.stdout.write(text % (time.time() * 1000, what, status, answer.decode("utf-8", "replace")))
        sys.exit(1)


def describe(error, request_id):
    """The document of a failure."""
    if isinstance(error, Fault):
        return document(str(error), error.kind, error.stack, request_id)
    frames = traceback.extract_tb(error.__traceback__)
    here = 0
    while here < len(frames) and frames[here].filename == __file__:
        here += 1
    # A call with wrong arguments fails in our own frame; that one is worth showing.
    stack = [frame_text(frame) for frame in frames[here:] or frames[-1:]]
    return document(str(error), type(error).__name__, stack, request_id)


def frame_text(frame):
    """A frame without the marks under it that newer interpreters draw."""
    text = '  File "%s", line %d, in %s\n' % (frame.filename, frame.lineno or 0, frame.name)
    return text + "    %s\n" % frame.line if frame.line else text


def document(message, kind, stack, request_id):
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": stack}


def log_failure(failure):
    if JSON_FORMAT:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        send_record(RECORD, "ERROR", json.dumps(dict({"timestamp": stamp, "level": "ERROR"}, **failure), ensure_ascii=False))
        return
    lines = ["[ERROR] %s: %s" % (failure["errorType"], failure["errorMessage"])]
    lines.append("Traceback (most recent call last):")
    for frame in failure["stackTrace"]:
        for line in frame.splitlines():
            # No-break spaces keep the indentation where logs are shown on the web.
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    send_record(RECORD, "ERROR", "\n".join(lines))


def load(name):
    """The handler that `name` means."""
    try:
        module_name, handler_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, error)) from None
    module_name = module_name.replace("/", ".")
    root = module_name.split(".")[0]
    if root in sys.builtin_module_names:
        message = "Cannot use built-in module %s as a handler module" % module_name
        raise Fault("Runtime.BuiltInModuleConflict", message)
    import importlib

    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        message = "Unable to import module '%s': %s" % (module_name, error)
        missing = (getattr(error, "name", None) or "").split(".")[0]
        if missing in BUNDLED and isinstance(error, ModuleNotFoundError):
            message += ". AWS's runtime brings this package along, this interpreter does not have it: run `%s -m pip install %s`" % (
                sys.executable,
                BUNDLED[missing],
            )
        raise Fault("Runtime.ImportModuleError", message) from None
    except SyntaxError as error:
        message = "Syntax error in module '%s': %s" % (module_name, error)
        line = '  File "%s" Line %s\n    %s\n' % (error.filename, error.lineno, (error.text or "").strip())
        raise Fault("Runtime.UserCodeSyntaxError", message, [line]) from None
    if not hasattr(module, handler_name):
        message = "Handler '%s' missing on module '%s'" % (handler_name, module_name)
        raise Fault("Runtime.HandlerNotFound", message)
    return getattr(module, handler_name)


class Client:
    def __init__(self, fields):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, fields.get(name))


class ClientContext:
    def __init__(self, fields):
        self.custom = fields.get("custom")
        self.env = fields.get("env")
        self.client = Client(fields["client"]) if isinstance(fields.get("client"), dict) else None


class Identity:
    def __init__(self, fields):
        self.cognito_identity_id = fields.get("cognitoIdentityId")
        self.cognito_identity_pool_id = fields.get("cognitoIdentityPoolId")


class LambdaContext:
    def __init__(self, headers):
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", "0"))
        self._w3c = {}
        self.client_context = None
        given = headers.get("lambda-runtime-client-context")
        if given:
            try:
                fields = json.loads(given.encode("latin-1").decode("utf-8"))
                self._w3c = fields.pop("w3c", None) or {}
                self.client_context = ClientContext(fields)
            except Exception as error:
                message = "Unable to parse Client Context JSON: %s" % error
                raise Fault("Runtime.LambdaContextUnmarshalError", message) from None
        given = headers.get("lambda-runtime-cognito-identity")
        self.identity = Identity(json.loads(given) if given else {})

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, text):
        sys.stdout.write(str(text))

    def w3c(self):
        return self._w3c


def refuse_constant(text):
    raise ValueError("Out of range float values are not JSON compliant: %s" % text)


# Numbers that must keep their digits travel through the JSON writer as texts with this in front.
DIGITS = "digits-" + os.urandom(12).hex() + ":"


def to_json(value):
    """What JSON has no word for."""
    kind = type(value)
    if kind.__name__ == "Decimal" and kind.__module__ in ("decimal", "_decimal", "_pydecimal"):
        return DIGITS + str(value)
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8")
    if hasattr(value, "_asdict"):
        # Differs: a named tuple never comes here, the standard library's writer takes it for a list.
        return value._asdict()
    raise TypeError("Object of type %s is not JSON serializable" % kind.__name__)


def python_at_least_3_12():
    version = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("AWS_Lambda_python3.")[2]
    return version.isdigit() and int(version) >= 12


ENSURE_ASCII = not python_at_least_3_12()


def marshal(result):
    if isinstance(result, bytes):
        return result
    try:
        text = json.dumps(result, ensure_ascii=ENSURE_ASCII, default=to_json)
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from None
    if DIGITS in text:
        import re

        text = re.sub('"%s([^"]*)"' % DIGITS, r"\1", text)
    return text.encode("utf-8")


def unmarshal(body):
    try:
        return json.loads(body, parse_constant=refuse_constant)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from None


def serve(api, handler):
    while True:
        status, headers, body = api.call("GET", "invocation/next")
        if status != 200:
            sys.exit(1)
        request_id = headers["lambda-runtime-aws-request-id"]
        Invocation.request_id = request_id
        Invocation.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        trace = headers.get("lambda-runtime-trace-id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            answer = marshal(handler(unmarshal(body), LambdaContext(headers)))
        except Exception as error:
            failure = describe(error, request_id)
            del error
            log_failure(failure)
            data = json.dumps(failure, ensure_ascii=ENSURE_ASCII).encode("utf-8")
            post(api, "invocation/%s/error" % request_id, data, "error")
        else:
            post(api, "invocation/%s/response" % request_id, answer, "success")
        body = answer = None


def main():
    set_up_logging()
    try:
        api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    except OSError:
        os._exit(1)
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:
        failure = describe(error, "")
        logging.getLogger().warning("LAMBDA_WARNING: Unhandled exception. The handler could not be loaded.")
        log_failure(failure)
        data = json.dumps(failure, ensure_ascii=ENSURE_ASCII).encode("utf-8")
        kind = failure["errorType"]
        post(api, "init/error", data, "init error", [("lambda-runtime-function-error-type", kind)])
        sys.exit(1)
    serve(api, handler)


main()
