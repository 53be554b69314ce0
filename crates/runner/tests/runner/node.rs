//! Node functions through our own bootstrap, as for Node.js 22 and before, and as for 24 and later.

use super::*;

const BOTH: [&str; 2] = ["nodejs22.x", "nodejs24.x"];

fn function(bench: &Bench, runtime: &str, file: &str, source: &str) -> Arc<Function> {
    Arc::new(bench.function(runtime, "app.handler", &[(file, source)]))
}

#[tokio::test]
async fn modules_of_both_kinds() {
    let bench = Bench::new().await;
    for runtime in BOTH {
        for (file, source) in [
            (
                "app.mjs",
                "const n = await Promise.resolve(1); export const handler = async (e, c) => [e, n, process.pid, c.memoryLimitInMB]",
            ),
            ("app.js", "exports.handler = async (e, c) => [e, 1, process.pid, c.memoryLimitInMB]"),
            ("app.cjs", "exports.handler = async (e, c) => [e, 1, process.pid, c.memoryLimitInMB]"),
        ] {
            let function = function(&bench, runtime, file, source);
            let first = response(&bench.invoke(&function, "{\"a\":\"ü\"}").await);
            assert!(
                first.starts_with("[{\"a\":\"ü\"},1,") && first.ends_with(",\"128\"]"),
                "{first}"
            );
            assert_eq!(response(&bench.invoke(&function, "{\"a\":\"ü\"}").await), first, "warm");
        }
        let files = [
            ("package.json", "{\"type\":\"module\"}"),
            ("src/app.js", "export const a = { b: async () => 1 }"),
        ];
        let function = Arc::new(bench.function(runtime, "src/app.a.b", &files));
        assert_eq!(response(&bench.invoke(&function, "{}").await), "1");
    }
}

#[tokio::test]
async fn answers_up_to_22() {
    let bench = Bench::new().await;
    for (body, answer) in [
        ("() => 42", "null"),
        ("(e, c, cb) => cb(null, 7)", "7"),
        ("(e, c, cb) => { setTimeout(() => cb(null, 8), 5) }", "8"),
        ("(e, c) => { c.succeed(9) }", "9"),
        (
            "(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1e6); cb(null, 10) }",
            "10",
        ),
        ("async () => { setInterval(() => {}, 1e6); return 11 }", "11"),
        ("async () => {}", "null"),
        ("async () => new Promise(() => {})", "null"),
        ("async () => NaN", "null"),
    ] {
        let function =
            function(&bench, "nodejs22.x", "app.js", &format!("exports.handler = {body}"));
        assert_eq!(response(&bench.invoke(&function, "{}").await), answer, "{body}");
    }
    for (body, kind, message) in [
        ("(e, c, cb) => cb(new TypeError('no'))", "TypeError", "no"),
        ("(e, c) => c.fail('text')", "string", "text"),
        ("() => { throw new RangeError('far') }", "RangeError", "far"),
        ("async () => { throw undefined }", "string", "handled"),
        ("async () => 1n", "Error", "Unable to stringify response body"),
        ("async () => () => 1", "TypeError", "Wrong arguments"),
        (
            "() => { Promise.reject(new Error('lost')); setInterval(() => {}, 1e6) }",
            "Runtime.UnhandledPromiseRejection",
            "Error: lost",
        ),
        ("() => { setTimeout(() => { throw new Error('late') }, 5) }", "Error", "late"),
    ] {
        let function =
            function(&bench, "nodejs22.x", "app.js", &format!("exports.handler = {body}"));
        let finished = bench.invoke(&function, "{}").await;
        assert_eq!(error(&finished), (kind.to_owned(), message.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn answers_from_24_on() {
    let bench = Bench::new().await;
    for (body, answer) in [("() => 42", "42"), ("async () => 1", "1"), ("() => {}", "null")] {
        let function =
            function(&bench, "nodejs24.x", "app.js", &format!("exports.handler = {body}"));
        assert_eq!(response(&bench.invoke(&function, "{}").await), answer, "{body}");
    }
    for (body, kind, end) in [
        ("(e, c, cb) => cb(null, 1)", "Runtime.CallbackHandlerDeprecated", "third parameter"),
        ("async () => { throw undefined }", "undefined", "undefined"),
        ("async () => 1n", "Runtime.JSONStringifyError", "Unable to stringify response body"),
        (
            "() => new Promise(() => {})",
            "Runtime.ExitError",
            "Runtime exited without providing a reason",
        ),
        (
            "() => { Promise.reject(new Error('lost')); return new Promise(() => setInterval(() => {}, 1e6)) }",
            "Runtime.ExitError",
            "exit status 1",
        ),
        ("() => process.exit(4)", "Runtime.ExitError", "exit status 4"),
    ] {
        let function =
            function(&bench, "nodejs24.x", "app.js", &format!("exports.handler = {body}"));
        let (seen, message) = error(&bench.invoke(&function, "{}").await);
        assert_eq!(seen, kind, "{body}: {message}");
        assert!(message.ends_with(end), "{body}: {message}");
    }
}

#[tokio::test]
async fn failures_of_loading() {
    let bench = Bench::with(|s| s.init_retry = false).await;
    for runtime in BOTH {
        for (handler, file, source, kind, message) in [
            (
                "app.handler",
                "app.js",
                "require('nothing-here')",
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'nothing-here'\nRequire stack:\n- ",
            ),
            (
                "gone.handler",
                "app.js",
                "",
                "Runtime.ImportModuleError",
                "Error: Cannot find module './gone'",
            ),
            (
                "app.handler",
                "app.mjs",
                "import 'nothing-here'",
                "Error",
                "Cannot find package 'nothing-here' imported from ",
            ),
            (
                "app.missing",
                "app.js",
                "",
                "Runtime.HandlerNotFound",
                "app.missing is undefined or not exported",
            ),
            (
                "app.x",
                "app.js",
                "exports.x = 1",
                "Runtime.HandlerNotFound",
                "app.x is not a function",
            ),
            ("app", "app.js", "", "Runtime.MalformedHandlerName", "Bad handler"),
            (
                "../app.x",
                "app.js",
                "",
                "Runtime.MalformedHandlerName",
                "'../app.x' is not a valid handler name. ",
            ),
            (
                "app.handler",
                "app.js",
                "exports.handler = (",
                "Runtime.UserCodeSyntaxError",
                "SyntaxError: ",
            ),
            ("app.handler", "app.js", "throw new TypeError('at load')", "TypeError", "at load"),
            (
                "app.handler",
                "app.js",
                "require('@aws-sdk/client-s3')",
                "Runtime.ImportModuleError",
                "Error: Cannot find module '@aws-sdk/client-s3'",
            ),
        ] {
            let function = Arc::new(bench.function(runtime, handler, &[(file, source)]));
            let finished = bench.invoke(&function, "{}").await;
            let (seen, text) = error(&finished);
            assert_eq!(seen, kind, "{runtime} {handler} {source}: {text}");
            assert!(text.starts_with(message), "{runtime} {handler} {source}: {text}");
            if source.contains("@aws-sdk") {
                let words = format!(
                    "npm install @aws-sdk/client-s3` in {}",
                    bench.path().join("start").display()
                );
                assert!(text.ends_with(&words), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn packages_of_the_start_folder_serve() {
    let bench = Bench::new().await;
    let package = bench.path().join("start/node_modules/mine");
    write(&package.join("package.json"), "{\"name\":\"mine\",\"main\":\"index.js\"}");
    write(&package.join("index.js"), "exports.answer = 42");
    for (file, source) in [
        ("app.mjs", "import { answer } from 'mine'; export const handler = async () => answer"),
        ("app.js", "const { answer } = require('mine'); exports.handler = async () => answer"),
    ] {
        let function = function(&bench, "nodejs22.x", file, source);
        assert_eq!(response(&bench.invoke(&function, "{}").await), "42");
    }
    assert!(bench.path().join("data/code/node_modules").is_symlink());
}

#[tokio::test]
async fn console_and_plain_output() {
    let bench = Bench::new().await;
    let source = "exports.handler = async () => { console.log('one', { a: 1 }); process.stdout.write('two\\n'); console.error(new Error('three')); console.table }";
    let function = function(&bench, "nodejs22.x", "app.js", source);
    let invocation = bench.invocation("{}");
    let id = invocation.request_id.clone();
    bench.send(&function, invocation).await;
    let lines = bench.lines.application();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].ends_with(&format!("Z\t{id}\tINFO\tone {{ a: 1 }}")), "{}", lines[0]);
    assert_eq!(lines[1], "two");
    assert!(lines[2].contains("\tERROR\tError: three\n    at "), "{}", lines[2]);
}

#[tokio::test]
async fn json_console() {
    let bench = Bench::new().await;
    let source = "exports.handler = async () => { console.info({ a: 1 }); console.debug('unseen'); throw new Error('x') }";
    let mut function = bench.function("nodejs22.x", "app.handler", &[("app.js", source)]);
    function.log_format = LogFormat::Json;
    function.log_level = Some("INFO".into());
    bench.invoke(&Arc::new(function), "{}").await;
    let lines: Vec<serde_json::Value> =
        bench.lines.application().iter().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["message"]["a"], 1);
    assert_eq!(lines[1]["level"], "ERROR");
}

#[tokio::test]
async fn streams_and_size() {
    let bench = Bench::new().await;
    let source = "exports.handler = awslambda.streamifyResponse(async (e, s) => { s = awslambda.HttpResponseStream.from(s, { statusCode: 201 }); s.write('body'); s.end() })";
    let streaming = function(&bench, "nodejs22.x", "app.js", source);
    assert_eq!(
        response(&bench.invoke(&streaming, "{}").await),
        "{\"statusCode\":201}\0\0\0\0\0\0\0\0body"
    );
    let source = "exports.handler = async (n) => n < 0 ? process.pid : 'x'.repeat(n)";
    let large = function(&bench, "nodejs22.x", "app.js", source);
    let pid = response(&bench.invoke(&large, "-1").await);
    assert_eq!(response(&bench.invoke(&large, "6291554").await).len(), 6_291_556);
    let finished = bench.invoke(&large, "6291555").await;
    assert_eq!(error(&finished).0, "Function.ResponseSizeTooLarge");
    assert_eq!(response(&bench.invoke(&large, "-1").await), pid, "the process lives on");
}
