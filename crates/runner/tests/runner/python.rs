//! Python functions through our own bootstrap.

use super::*;

#[tokio::test]
async fn success_and_warm_reuse() {
    let bench = Bench::new().await;
    let function = bench.python(
        "import os\ncount = 0\ndef handler(event, context):\n  global count\n  count += 1\n  return [event, count, os.getpid(), None, 'ä']",
    );
    let first = bench.invoke(&function, r#"{"a": 1}"#).await;
    let second = bench.invoke(&function, "2").await;
    let (first_answer, second_answer) = (response(&first), response(&second));
    assert!(first_answer.starts_with(r#"[{"a": 1}, 1, "#), "{first_answer}");
    assert!(first_answer.ends_with(r#", null, "\u00e4"]"#), "{first_answer}");
    let pid = |a: &str| a.rsplit(", ").nth(2).unwrap().to_owned();
    assert!(second_answer.starts_with("[2, 2, "), "{second_answer}");
    assert_eq!(pid(&first_answer), pid(&second_answer));
    let text = tail(&first);
    let kinds: Vec<&str> = text.lines().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["INIT_START", "START", "END", "REPORT"], "{text}");
    assert!(text.contains("\tInit Duration: ") && text.ends_with(" ms\t\n"), "{text}");
    let text = tail(&second);
    assert!(text.starts_with("START RequestId: ") && !text.contains("Init Duration"), "{text}");
}

#[tokio::test]
async fn a_raised_exception() {
    let bench = Bench::new().await;
    let function =
        bench.python("def handler(event, context):\n  raise ValueError('no: \\u00fc')\n");
    let finished = bench.invoke(&function, "{}").await;
    assert_eq!(error(&finished), ("ValueError".into(), "no: ü".into()));
    let document = document(&finished);
    assert!(
        document.starts_with(
            r#"{"errorMessage": "no: \u00fc", "errorType": "ValueError", "requestId": ""#
        ),
        "{document}"
    );
    assert!(
        document.contains(r#"/app.py\", line 2, in handler\n    raise ValueError("#),
        "{document}"
    );
    let text = tail(&finished);
    assert!(
        text.contains(
            "[ERROR] ValueError: no: ü\nTraceback (most recent call last):\n\u{a0}\u{a0}File "
        ),
        "{text}"
    );
    assert!(!text.contains("Status:"), "{text}");
    let record = bench.lines.application();
    assert_eq!(record.len(), 1, "a record of several lines is one event: {record:?}");
}

#[tokio::test]
async fn failures_of_loading() {
    let bench = Bench::new().await;
    for (handler, source, kind, message) in [
        (
            "app.handler",
            "import nothing_here",
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'nothing_here'",
        ),
        (
            "gone.handler",
            "",
            "Runtime.ImportModuleError",
            "Unable to import module 'gone': No module named 'gone'",
        ),
        (
            "app.missing",
            "x = 1",
            "Runtime.HandlerNotFound",
            "Handler 'missing' missing on module 'app'",
        ),
        (
            "handler",
            "",
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "sys.handler",
            "",
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module sys as a handler module",
        ),
        (
            "app.handler",
            "def handler(:",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'app': invalid syntax (app.py, line 1)",
        ),
        ("app.handler", "raise OSError('at import')", "OSError", "at import"),
    ] {
        let function = Arc::new(bench.function("python3.11", handler, &[("app.py", source)]));
        let finished = bench.invoke(&function, "{}").await;
        assert_eq!(error(&finished), (kind.to_owned(), message.to_owned()));
        let text = tail(&finished);
        let logged = if kind.starts_with("Runtime.") { kind } else { "Runtime.Unknown" };
        for phase in ["init", "invoke"] {
            let words = format!("\tPhase: {phase}\tStatus: error\tError Type: {logged}\n");
            assert!(text.contains(&words), "{text}");
        }
        assert_eq!(text.matches("LAMBDA_WARNING").count(), 2, "started twice: {text}");
        assert!(text.ends_with(&format!("\tStatus: error\tError Type: {logged}\n")), "{text}");
    }
}

#[tokio::test]
async fn a_missing_package_of_awss_runtime_says_what_to_install() {
    let bench = Bench::with(|s| s.init_retry = false).await;
    let function = bench.python("import sys\nsys.modules['boto3'] = None\nimport boto3\n");
    let (kind, message) = error(&bench.invoke(&function, "{}").await);
    assert_eq!(kind, "Runtime.ImportModuleError");
    assert!(message.contains("-m pip install boto3"), "{message}");
}

#[tokio::test]
async fn handlers_in_folders_and_results_of_all_kinds() {
    let bench = Bench::new().await;
    let source = "import decimal\ndef handler(event, context):\n  return eval(event)\n";
    let function =
        Arc::new(bench.function("python3.12", "src/app.handler", &[("src/app.py", source)]));
    for (expression, answer) in [
        ("None", "null"),
        ("float('nan')", "NaN"),
        ("(1, 'x')", r#"[1, "x"]"#),
        ("{1: 2}", r#"{"1": 2}"#),
        ("b'raw'", "raw"),
        ("[decimal.Decimal('1.10'), 'x', decimal.Decimal('5')]", r#"[1.10, "x", 5]"#),
        ("'ü'", "\"ü\""),
    ] {
        let event = serde_json::to_string(expression).unwrap();
        assert_eq!(response(&bench.invoke(&function, &event).await), answer);
    }
    let finished = bench.invoke(&function, "\"{1}\"").await;
    let message = "Unable to marshal response: Object of type set is not JSON serializable";
    assert_eq!(error(&finished), ("Runtime.MarshalError".into(), message.into()));
    let finished = bench.invoke(&function, "{").await;
    assert_eq!(error(&finished).0, "Runtime.UnmarshalError");
}

#[tokio::test]
async fn context_and_variables() {
    let bench = Bench::new().await;
    let source = "import os, json\ndef handler(event, c):\n  x = c.client_context\n  return dict(os.environ, cwd=os.getcwd(), id=c.aws_request_id, arn=c.invoked_function_arn, memory=c.memory_limit_in_mb, left=c.get_remaining_time_in_millis(), custom=x and x.custom, tenant=c.tenant_id, stream=c.log_stream_name)\n";
    let mut function = bench.function("python3.11", "app.handler", &[("app.py", source)]);
    function.environment = [
        ("MINE", "a b"),
        ("AWS_REGION", "moon"),
        ("_PRIVATE", "x"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "4"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let function = Arc::new(function);
    let mut invocation = bench.invocation("{}");
    invocation.client_context = Some(r#"{"custom":{"k":"ü"}}"#.into());
    invocation.tenant_id = Some("blue".into());
    invocation.trace_id = Some("Root=1-00000000-000000000000000000000000".into());
    let id = invocation.request_id.clone();
    let seen: serde_json::Value =
        serde_json::from_str(&response(&bench.send(&function, invocation).await)).unwrap();
    let code = function.code.to_str().unwrap();
    for (name, value) in [
        ("MINE", "a b"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:4566"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("_HANDLER", "app.handler"),
        ("_X_AMZN_TRACE_ID", "Root=1-00000000-000000000000000000000000"),
        ("LAMBDA_TASK_ROOT", code),
        ("cwd", code),
        ("TZ", ":UTC"),
        ("id", &id),
        ("arn", "arn:aws:lambda:eu-west-1:000000000000:function:f:live"),
        ("memory", "128"),
        ("tenant", "blue"),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    assert_eq!(seen["custom"]["k"], "ü");
    assert!(seen["left"].as_i64().unwrap() > 29_000, "{}", seen["left"]);
    assert!(seen["stream"].as_str().unwrap().contains("/[$LATEST]"));
    assert!(fs::metadata(seen["HOME"].as_str().unwrap()).unwrap().is_dir());
    for name in ["_PRIVATE", "AWS_LAMBDA_MAX_CONCURRENCY", "CARGO_MANIFEST_DIR", "USER"] {
        assert!(seen.get(name).is_none(), "{name}");
    }
    let seen = response(&bench.invoke(&function, "{}").await);
    assert!(!seen.contains("_X_AMZN_TRACE_ID"), "the next one is not traced");
}

#[tokio::test]
async fn prints_and_records_stay_in_order() {
    let bench = Bench::new().await;
    let source = "import logging, os, sys\ndef handler(event, context):\n  for i in range(50):\n    print(i, 'out')\n    logging.warning('%s warned\\nand more', i)\n    print(i, 'err', file=sys.stderr)\n  sys.stdout.write('no end')\n";
    let function = bench.python(source);
    let finished = bench.invoke(&function, "{}").await;
    assert_eq!(response(&finished), "null");
    let lines = bench.lines.application();
    assert_eq!(lines.len(), 151);
    for i in 0..50 {
        assert_eq!(lines[i * 3], format!("{i} out"));
        assert!(lines[i * 3 + 1].starts_with("[WARNING]\t20"), "{}", lines[i * 3 + 1]);
        assert!(lines[i * 3 + 1].ends_with(&format!("\t{i} warned\nand more")));
        assert_eq!(lines[i * 3 + 2], format!("{i} err"));
    }
    assert_eq!(lines[150], "no end");
    assert!(tail(&finished).len() <= 4096);
    assert!(tail(&finished).contains("\nno end\nEND RequestId: "), "{}", tail(&finished));
}

#[tokio::test]
async fn json_logs() {
    let bench = Bench::new().await;
    let source = "import logging\ndef handler(event, context):\n  log = logging.getLogger('mine')\n  log.info('hello', extra={'executionArn': 'e'})\n  log.debug('unseen')\n  raise KeyError('k')\n";
    let mut function = bench.function("python3.11", "app.handler", &[("app.py", source)]);
    function.log_format = LogFormat::Json;
    function.log_level = Some("INFO".into());
    bench.invoke(&Arc::new(function), "{}").await;
    let lines: Vec<serde_json::Value> =
        bench.lines.application().iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["executionArn"], "e");
    assert_eq!((&lines[0]["level"], &lines[0]["logger"]), (&"INFO".into(), &"mine".into()));
    assert_eq!(lines[1]["errorType"], "KeyError");
    let all = bench.lines.all();
    let kinds: Vec<&str> =
        all.iter().filter_map(|l| l.split("\"type\":\"").nth(1)?.split('"').next()).collect();
    assert_eq!(kinds, ["platform.initStart", "platform.start", "platform.report"]);
}

#[tokio::test]
async fn a_huge_exception_message_and_the_largest_response() {
    let bench = Bench::new().await;
    let source = "def handler(event, context):\n  if event == 'raise':\n    raise ValueError('x' * 300_000)\n  return b'x' * event\n";
    let function = bench.python(source);
    let (_, message) = error(&bench.invoke(&function, "\"raise\"").await);
    assert_eq!(message.len(), 300_000);
    assert_eq!(response(&bench.invoke(&function, "6291556").await).len(), 6_291_556);
    let finished = bench.invoke(&function, "6291557").await;
    let words = "Response payload size exceeded maximum allowed payload size (6291556 bytes).";
    assert_eq!(error(&finished), ("Function.ResponseSizeTooLarge".into(), words.into()));
    assert!(
        tail(&finished).ends_with("\tStatus: error\tError Type: Function.ResponseSizeTooLarge\n")
    );
    assert!(tail(&finished).contains("Http response code: 413. "), "{}", tail(&finished));
    assert_eq!(response(&bench.invoke(&function, "1").await), "x", "a new process serves");
}
