//! Functions by Function Compute's contract, in Python and Node.

use super::*;
use durastack_runner::Initializer;

fn python(bench: &Bench, source: &str) -> Arc<Function> {
    Arc::new(bench.function_compute("python3", &[("index.py", source)]))
}

fn node(bench: &Bench, body: &str) -> Arc<Function> {
    let source = format!("exports.handler = {body}");
    Arc::new(bench.function_compute("nodejs20", &[("index.js", &source)]))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn with_initializer(mut function: Function, timeout: Duration) -> Arc<Function> {
    let Contract::FunctionCompute(identity) = &mut function.contract else { panic!() };
    identity.initializer = Some(Initializer { handler: "index.initialize".into(), timeout });
    Arc::new(function)
}

#[tokio::test]
async fn python_results_warm_reuse_and_the_tail() {
    let bench = Bench::new().await;
    let source = "import os\ncount = 0\ndef handler(event, context):\n  global count\n  count += 1\n  print('got', type(event).__name__)\n  return eval(event)\n";
    let function = python(&bench, source);
    let invocation = bench.invocation("'text ü'");
    let id = invocation.request_id.clone();
    let finished = bench.send(&function, invocation).await;
    assert_eq!(response(&finished), "text ü");
    let text = tail(&finished);
    let begin = format!(
        "FC Invoke Start RequestId: {id}\ngot bytes\nFC Invoke End RequestId: {id}\nDuration: "
    );
    assert!(text.starts_with(&begin), "{text}");
    assert!(text.contains(" ms, Memory Size: 128 MB, Max Memory Used: "), "{text}");
    assert_eq!(text.lines().count(), 4, "{text}");
    for (expression, answer) in [
        ("b'\\xc3\\xbc'", "ü"),
        ("{'a': [1, None, True]}", r#"{"a": [1, null, true]}"#),
        ("None", "null"),
        ("count", "5"),
    ] {
        assert_eq!(response(&bench.invoke(&function, expression).await), answer, "{expression}");
    }
    let (kind, message) = error(&bench.invoke(&function, "{1}").await);
    assert_eq!((kind.as_str(), message.contains("JSON serializable")), ("TypeError", true));
    assert_eq!(
        response(&bench.invoke(&function, "[count]").await),
        "[7]",
        "still the same process"
    );
}

#[tokio::test]
async fn node_results_of_all_forms() {
    let bench = Bench::new().await;
    for (body, answer) in [
        ("(event, context, callback) => callback(null, event)", "{\"a\": 1}"),
        (
            "(event, context, callback) => { setTimeout(() => callback(null, { b: 2 }), 5) }",
            "{\"b\":2}",
        ),
        (
            "async (event, context, callback) => { callback(null, 'first'); return 'second' }",
            "first",
        ),
        ("async (event) => Buffer.isBuffer(event) && JSON.parse(event).a", "1"),
        ("async () => 'text ü'", "text ü"),
        ("async () => true", "true"),
        ("async () => [null]", "[null]"),
        ("async () => null", ""),
        ("async () => {}", ""),
        ("(event) => new Promise((resolve) => setTimeout(resolve, 5, 'later'))", "later"),
        ("() => 'at once'", "at once"),
    ] {
        let finished = bench.invoke(&node(&bench, body), "{\"a\": 1}").await;
        assert_eq!(response(&finished), answer, "{body}");
    }
    let files = [("src/index.mjs", "export const handler = async () => process.pid")];
    let mut module = bench.function_compute("nodejs18", &files);
    module.handler = "src/index.handler".into();
    let module = Arc::new(module);
    let pid = response(&bench.invoke(&module, "").await);
    assert_eq!(response(&bench.invoke(&module, "").await), pid, "warm");
}

#[tokio::test]
async fn python_failures() {
    let bench = Bench::new().await;
    let function = python(&bench, "def handler(event, context):\n  raise ValueError('no: ü')\n");
    let finished = bench.invoke(&function, "{}").await;
    assert_eq!(error(&finished), ("ValueError".into(), "no: ü".into()));
    let file = format!("File \"{}/index.py\"", function.code.display());
    let stack = serde_json::json!([[file, "line 2", "in handler", "raise ValueError('no: ü')"]]);
    let seen = json(&document(&finished));
    assert_eq!(seen["stackTrace"], stack);
    assert_eq!(seen.as_object().unwrap().len(), 3, "{seen}");
    let text = tail(&finished);
    assert!(text.contains(" [ERROR] {\"errorMessage\": \"no: ü\", "), "{text}");
    assert!(text.contains(", Error: Unhandled function error\nDuration: "), "{text}");
    for (handler, source, kind, message) in [
        ("gone.handler", "", "ImportModuleError", "Unable to import module 'gone'"),
        (
            "index.handler",
            "import nothing_here",
            "ImportModuleError",
            "Unable to import module 'index'",
        ),
        ("index.handler", "def handler(:", "UserCodeSyntaxError", "Syntax error in module 'index'"),
        ("index.gone", "", "HandlerNotFound", "Handler 'gone' is missing on module 'index'"),
        ("handler", "", "InvalidHandlerName", "Invalid handler 'handler'"),
        ("index.handler", "raise OSError('at import')", "OSError", "at import"),
    ] {
        let mut function = bench.function_compute("python3", &[("index.py", source)]);
        function.handler = handler.into();
        let finished = bench.invoke(&Arc::new(function), "{}").await;
        assert_eq!(error(&finished), (kind.to_owned(), message.to_owned()), "{source}");
        assert_eq!(tail(&finished).matches("FC Invoke Start").count(), 1, "{}", tail(&finished));
        if source.contains("nothing") {
            let seen = json(&document(&finished));
            let last = "ModuleNotFoundError: No module named 'nothing_here'";
            assert_eq!(seen["stackTrace"][3], last, "{seen}");
            assert_eq!(seen["stackTrace"][1], "line 1", "{seen}");
        }
    }
}

#[tokio::test]
async fn node_failures() {
    let bench = Bench::new().await;
    for (body, kind, message, end) in [
        ("(e, c, cb) => cb(new TypeError('no'))", "TypeError", "no", "Handled"),
        ("(e, c, cb) => cb('text')", "FunctionHandledError", "text", "Handled"),
        ("(e, c, cb) => cb({ code: 7 })", "FunctionHandledError", "{\"code\":7}", "Handled"),
        ("() => { throw new RangeError('far') }", "RangeError", "far", "Unhandled"),
        ("async () => { throw new Error('oops') }", "Error", "oops", "Unhandled"),
        ("async () => { throw 'text' }", "FunctionUnhandledError", "text", "Unhandled"),
        (
            "(e, c, cb) => { setTimeout(() => { throw new Error('late') }, 5) }",
            "Error",
            "late",
            "Unhandled",
        ),
        (
            "async () => 1n + 1",
            "TypeError",
            "Cannot mix BigInt and other types, use explicit conversions",
            "Unhandled",
        ),
    ] {
        let finished = bench.invoke(&node(&bench, body), "{}").await;
        assert_eq!(error(&finished), (kind.to_owned(), message.to_owned()), "{body}");
        let words = format!(", Error: {end} function error\nDuration: ");
        assert!(tail(&finished).contains(&words), "{body}: {}", tail(&finished));
        let stack = json(&document(&finished));
        let is_error = !kind.starts_with("Function");
        assert_eq!(stack["stackTrace"][0] == format!("{kind}: {message}"), is_error, "{stack}");
    }
    for (handler, source, kind, message) in [
        ("gone.handler", "", "ImportModuleError", "/gone.js' is missing."),
        ("index.gone", "", "HandlerNotFound", "Handler 'gone' is missing on module 'index'"),
        ("handler", "", "InvalidHandlerName", "Invalid handler 'handler'"),
        (
            "index.handler",
            "require('nothing-here')",
            "Error",
            "Cannot find module 'nothing-here'\nRequire stack",
        ),
        ("index.handler", "exports.handler = (", "SyntaxError", "Unexpected end of input"),
    ] {
        let mut function = bench.function_compute("nodejs16", &[("index.js", source)]);
        function.handler = handler.into();
        let (seen, text) = error(&bench.invoke(&Arc::new(function), "{}").await);
        assert_eq!((seen.as_str(), text.contains(message)), (kind, true), "{text}");
    }
}

#[tokio::test]
async fn exits_have_no_error_type() {
    let bench = Bench::new().await;
    let functions = [
        python(&bench, "import os\ndef handler(event, context):\n  os._exit(3)\n"),
        python(&bench, "import sys\ndef handler(event, context):\n  sys.exit(0)\n"),
        python(&bench, "import os\ndef handler(event, context):\n  os.kill(os.getpid(), 9)\n"),
        node(&bench, "() => process.exit(1)"),
        node(&bench, "() => new Promise(() => {})"),
        node(&bench, "(event, context, callback) => {}"),
    ];
    for function in functions {
        let finished = bench.invoke(&function, "{}").await;
        let (kind, message) = error(&finished);
        assert_eq!(kind, "");
        let begin = "Process exited unexpectedly before completing request (duration: ";
        assert!(
            message.starts_with(begin) && message.ends_with("ms, maxMemoryUsage: 0.00MB)"),
            "{message}"
        );
        assert_eq!(document(&finished), format!(r#"{{"errorMessage":"{message}"}}"#));
        assert!(
            tail(&finished).contains(&format!(", Error: {message}\nDuration: ")),
            "{}",
            tail(&finished)
        );
    }
}

#[tokio::test]
async fn a_timeout() {
    let bench = Bench::new().await;
    for mut function in [
        bench.function_compute(
            "python3",
            &[("index.py", "import time\ndef handler(event, context):\n  time.sleep(1000)\n")],
        ),
        bench.function_compute(
            "nodejs20",
            &[("index.js", "exports.handler = () => { setInterval(() => {}, 1000) }")],
        ),
    ] {
        function.timeout = Duration::from_secs(1);
        let finished = bench.invoke(&Arc::new(function), "{}").await;
        let (kind, message) = error(&finished);
        assert_eq!(kind, "");
        let begin = "Function timed out after 1 seconds (maxMemoryUsage: ";
        assert!(message.starts_with(begin) && message.ends_with("MB)"), "{message}");
        let end = format!(", Error: {message}\nDuration: 1000.00 ms, Billed Duration: 1000 ms, ");
        assert!(tail(&finished).contains(&end), "{}", tail(&finished));
    }
}

#[tokio::test]
async fn context_and_variables() {
    let bench = Bench::new().await;
    let python_source = "import json, os, sys\ndef plain(x):\n  return {k: plain(v) for k, v in vars(x).items()} if hasattr(x, '__dict__') and type(x).__name__ == 'SimpleNamespace' else x if isinstance(x, (str, int, dict, type(None))) else str(x)\ndef handler(event, context):\n  return dict(plain(context), env=dict(os.environ), cwd=os.getcwd(), argv=len(sys.argv))\n";
    let node_source = "exports.handler = async (event, c) => ({ request_id: c.requestId, account_id: c.accountId, region: c.region, function: c.function, service: c.service, credentials: { access_key_id: c.credentials.accessKeyId, access_key_secret: c.credentials.accessKeySecret, security_token: c.credentials.securityToken }, logger: typeof c.logger.info, env: process.env, cwd: process.cwd(), argv: process.argv.length - 1 })";
    for (runtime, file, source) in
        [("python3", "index.py", python_source), ("nodejs20", "index.js", node_source)]
    {
        let mut function = bench.function_compute(runtime, &[(file, source)]);
        function.environment =
            [("MINE", "a b"), ("FC_REGION", "moon"), ("ALIBABA_CLOUD_ACCESS_KEY_ID", "real")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let invocation = bench.invocation("{}");
        let id = invocation.request_id.clone();
        let function = Arc::new(function);
        let seen = json(&response(&bench.send(&function, invocation).await));
        for (path, value) in [
            ("/account_id", "1234567890123456"),
            ("/region", "cn-hangzhou"),
            ("/function/name", "price"),
            ("/function/handler", "index.handler"),
            ("/service/name", "demo"),
            ("/service/qualifier", "LATEST"),
            ("/credentials/access_key_id", "key"),
            ("/credentials/access_key_secret", "secret"),
            ("/credentials/security_token", "token"),
            ("/env/MINE", "a b"),
            ("/env/FC_FUNCTION_NAME", "price"),
            ("/env/FC_SERVICE_NAME", "demo"),
            ("/env/FC_REGION", "cn-hangzhou"),
            ("/env/FC_ACCOUNT_ID", "1234567890123456"),
            ("/env/FC_FUNCTION_HANDLER", "index.handler"),
            ("/env/FC_FUNCTION_MEMORY_SIZE", "128"),
            ("/env/FC_QUALIFIER", "LATEST"),
            ("/env/FC_FUNC_CODE_PATH", function.code.to_str().unwrap()),
            ("/env/ALIBABA_CLOUD_ACCESS_KEY_ID", "key"),
            ("/env/ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true"),
            ("/env/FNF_ENDPOINT", "127.0.0.1:4566"),
            ("/cwd", function.code.to_str().unwrap()),
            ("/request_id", &id),
        ] {
            assert_eq!(seen.pointer(path).unwrap_or(&"absent".into()), value, "{runtime} {path}");
        }
        assert_eq!(seen["function"]["memory"], 128);
        assert_eq!(seen["function"]["timeout"], 30);
        assert_eq!(seen["argv"], 1);
        let foreign = |name: &String| {
            name.starts_with("AWS_")
                || name.starts_with("LAMBDA_")
                || name == "_HANDLER"
                || name.to_lowercase().ends_with("http_proxy")
                || name == "CARGO_MANIFEST_DIR"
        };
        let environment = seen["env"].as_object().unwrap();
        assert!(!environment.keys().any(foreign), "{environment:?}");
    }
}

#[tokio::test]
async fn log_records() {
    let bench = Bench::new().await;
    let functions = [
        (
            python(
                &bench,
                "import logging\ndef handler(event, context):\n  logging.getLogger().info('hello\\nthere')\n  context.logger.warning('again')\n",
            ),
            "INFO",
            "WARNING",
        ),
        (
            node(
                &bench,
                "async (event, context) => { console.log('hello\\nthere'); context.logger.warn('again') }",
            ),
            "verbose",
            "warn",
        ),
    ];
    for (function, first, second) in functions {
        let invocation = bench.invocation("{}");
        let id = invocation.request_id.clone();
        bench.send(&function, invocation).await;
        let lines = bench.lines.application();
        let [.., hello, again] = &lines[..] else { panic!("{lines:?}") };
        assert!(hello.ends_with(&format!("Z {id} [{first}] hello\nthere")), "{hello}");
        assert!(again.ends_with(&format!("Z {id} [{second}] again")), "{again}");
    }
}

#[tokio::test]
async fn an_initializer_runs_once_before_the_first_call() {
    let bench = Bench::new().await;
    let second = Duration::from_secs(30);
    for function in [
        bench.function_compute("python3", &[("index.py", "seen = []\ndef initialize(context):\n  seen.append(context.request_id)\n  print('ready')\ndef handler(event, context):\n  return seen\n")]),
        bench.function_compute("nodejs16", &[("index.js", "const seen = []; exports.initialize = (context, callback) => { seen.push(context.requestId); process.stdout.write('ready\\n'); callback(null, '') }; exports.handler = async () => seen")]),
    ] {
        let function = with_initializer(function, second);
        let invocation = bench.invocation("{}");
        let id = invocation.request_id.clone();
        let finished = bench.send(&function, invocation).await;
        assert_eq!(json(&response(&finished)), serde_json::json!([id]));
        let begin = format!(
            "FC Initialize Start RequestId: {id}\nready\nFC Initialize End RequestId: {id}\nFC Invoke Start RequestId: {id}\nFC Invoke End RequestId: {id}\n"
        );
        // Whatever Node this machine has.
        let told: String = tail(&finished)
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("durastack: "))
            .collect();
        assert!(told.starts_with(&begin), "{told}");
        let finished = bench.invoke(&function, "{}").await;
        assert_eq!(json(&response(&finished)), serde_json::json!([id]));
    }
}

#[tokio::test]
async fn initializers_that_fail() {
    let bench = Bench::new().await;
    let python = |body: &str| {
        let source = format!("import os, time\ndef initialize(context):\n  {body}\n");
        bench.function_compute("python3", &[("index.py", &source)])
    };
    let node = bench.function_compute(
        "nodejs20",
        &[("index.js", "exports.initialize = async () => { throw new Error('not ready') }")],
    );
    let slow = Duration::from_millis(300);
    for (function, timeout, kind, message) in [
        (python("raise ValueError('not ready')"), PATIENCE, "ValueError", "not ready"),
        (node, PATIENCE, "Error", "not ready"),
        (
            python("os._exit(1)"),
            PATIENCE,
            "",
            "Process exited unexpectedly before completing request (",
        ),
        (
            python("time.sleep(1000)"),
            slow,
            "",
            "Function initializer timed out after 0.3 seconds (",
        ),
    ] {
        let finished = bench.invoke(&with_initializer(function, timeout), "{}").await;
        let (seen, text) = error(&finished);
        assert_eq!((seen.as_str(), text.starts_with(message)), (kind, true), "{text}");
        let text = tail(&finished);
        assert_eq!(text.matches("FC Initialize Start").count(), 1, "tried once: {text}");
        assert!(text.contains(", Error: ") && !text.contains("FC Invoke"), "{text}");
    }
}

#[tokio::test]
async fn a_response_that_is_too_large() {
    let bench = Bench::new().await;
    for (function, runtime) in [
        (python(&bench, "def handler(event, context):\n  return b'x' * int(event)\n"), "Python"),
        (node(&bench, "async (event) => 'x'.repeat(Number(event))"), "Node"),
    ] {
        let (kind, message) = error(&bench.invoke(&function, "6291557").await);
        assert_eq!(
            (kind.as_str(), message.contains("maximum")),
            ("", true),
            "{runtime}: {message}"
        );
        assert_eq!(response(&bench.invoke(&function, "1").await), "x", "{runtime}");
    }
}

#[tokio::test]
async fn other_runtimes_are_refused() {
    let bench = Bench::new().await;
    for runtime in ["custom", "custom.debian10", "custom-container", "java11", "python2.7"] {
        let function = Arc::new(bench.function_compute(runtime, &[]));
        match bench.invoke(&function, "{}").await.outcome {
            Outcome::Refused(refusal) => {
                let words = format!("cannot run '{runtime}' for Function Compute");
                assert!(refusal.to_string().contains(&words), "{refusal}");
            }
            other => panic!("{other:?}"),
        }
    }
}
