//! Custom runtimes: the package's own bootstrap.

use super::*;

fn provided(bench: &Bench, bootstrap: &str) -> Arc<Function> {
    Arc::new(bench.function("provided.al2023", "anything at all", &[("bootstrap", bootstrap)]))
}

/// Speaks the Runtime API by hand, and answers with what the API said to everything that it must not do.
const BY_HAND: &str = r#"#!/usr/bin/env python3
import http.client, os, sys
sys.stdout.reconfigure(line_buffering=True)
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, body=None, headers={}):
    c.request(method, path, body, headers)
    r = c.getresponse()
    return r.status, r.headers, r.read().decode()
base = "/2018-06-01/runtime/"
seen = [call("POST", base + "invocation/x/response", b"{}"), call("GET", "/ping"), call("GET", base + "restore/next"), call("GET", base + "init/error")]
while True:
    _, headers, event = call("GET", base + "invocation/next")
    id = headers["lambda-runtime-aws-request-id"]
    same = call("GET", base + "invocation/next")[1]["Lambda-Runtime-Aws-Request-Id"]
    seen.append(call("POST", base + "init/error", b"{}"))
    if event == '"trailers"':
        c.putrequest("POST", base + "invocation/" + id + "/response")
        c.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        c.putheader("Transfer-Encoding", "chunked")
        c.putheader("Trailer", "Lambda-Runtime-Function-Error-Body")
        c.endheaders(b"2\r\nok\r\n0\r\nLambda-Runtime-Function-Error-Type: X.Y\r\nLambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJNaWQifQ==\r\n\r\n")
        c.getresponse().read()
    elif event == '"mode"':
        seen.append(call("POST", base + "invocation/" + id + "/response", b"{}", {"Lambda-Runtime-Function-Response-Mode": "x"}))
        print(seen[-1][0], seen[-1][2], end="")
    elif event == '"short"':
        import socket
        host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
        s = socket.create_connection((host, int(port)))
        s.sendall(("POST " + base + "invocation/" + id + "/response HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").encode())
        s.close()
    elif event == '"empty"':
        call("POST", base + "invocation/" + id + "/response", b"")
    else:
        head = {"Lambda-Runtime-Function-XRay-Error-Cause": b"\xc3\xbc" * 500000}
        assert call("POST", base + "invocation/" + id + "/error", b"not json", head)[0] == 202
        late = call("POST", base + "invocation/" + id + "/response", b"{}")
        text = [s[0] for s in seen], id == same, headers["Content-Type"], os.environ["_HANDLER"], "AWS_EXECUTION_ENV" in os.environ, late[0], seen[0][2], seen[3][1]["Allow"], seen[1][2]
        print(text)
"#;

#[tokio::test]
async fn the_runtime_api_answers_exactly() {
    let bench = Bench::new().await;
    let function = provided(&bench, BY_HAND);
    let finished = bench.invoke(&function, "{}").await;
    assert_eq!(document(&finished), "not json");
    assert_eq!(error(&finished), (String::new(), String::new()));
    let wanted = r#"([400, 200, 404, 405, 403], True, 'application/json', 'anything at all', False, 403, '{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}\n', 'POST', 'pong')"#;
    assert_eq!(bench.lines.application(), [wanted]);
    assert_eq!(response(&bench.invoke(&function, "\"empty\"").await), "");
    let finished = bench.invoke(&function, "\"trailers\"").await;
    assert_eq!(document(&finished), r#"{"errorType":"Mid"}"#);
    let finished = bench.invoke(&function, "\"mode\"").await;
    assert_eq!(error(&finished).0, "Runtime.InvalidResponseModeHeader");
    assert!(tail(&finished).contains("400 {\"errorMessage\":\"Invalid function response mode\""));
    let finished = bench.invoke(&function, "\"short\"").await;
    assert_eq!(error(&finished).0, "Runtime.TruncatedResponse");
}

#[tokio::test]
async fn a_shell_script_that_dies() {
    let bench = Bench::new().await;
    let function =
        provided(&bench, "#!/bin/sh\necho \"in $PWD\"\nread -r line || echo no input\nexit 9\n");
    let finished = bench.invoke(&function, "{}").await;
    assert!(error(&finished).1.ends_with("Error: Runtime exited with error: exit status 9"));
    let text = tail(&finished);
    let code = function.code.to_str().unwrap();
    assert!(text.contains(&format!("\nin {code}\nno input\n")), "{text}");
}

#[tokio::test]
async fn bootstraps_that_cannot_run() {
    let bench = Bench::new().await;
    let missing = Arc::new(bench.function("provided.al2", "h", &[]));
    let not_executable = provided(&bench, "no script");
    let wrong = provided(&bench, "#!x");
    let binary = provided(&bench, "#!");
    fs::write(binary.code.join("bootstrap"), b"\x7fELF\x02\x01\x01 other machine").unwrap();
    for (function, words) in [
        (missing, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"),
        (not_executable, "fork/exec /var/task/bootstrap: permission denied"),
        (wrong, "fork/exec /var/task/bootstrap: no such file or directory"),
        (binary, "fork/exec /var/task/bootstrap: exec format error"),
    ] {
        let finished = bench.invoke(&function, "{}").await;
        let (kind, message) = error(&finished);
        assert_eq!(kind, "Runtime.InvalidEntrypoint");
        assert!(
            message.starts_with("RequestId: ") && message.ends_with(&format!(" Error: {words}")),
            "{message}"
        );
    }
}

#[tokio::test]
async fn runtimes_that_cannot_be_run_say_so() {
    let bench = Bench::with(|s| s.node = Some("/nowhere/node".into())).await;
    for (runtime, words) in [("java21", "provided.al2023"), ("nodejs22.x", "install Node.js")] {
        let function = Arc::new(bench.function(runtime, "a.b", &[]));
        match bench.invoke(&function, "{}").await.outcome {
            Outcome::Refused(refusal) => assert!(refusal.to_string().contains(words), "{refusal}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Answers, then goes on working until a file is there.
const WORKS_ON: &str = r#"#!/usr/bin/env python3
import http.client, os, time
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    c.request("GET", "/2018-06-01/runtime/invocation/next")
    r = c.getresponse()
    path = r.read().decode().strip('"')
    c.request("POST", "/2018-06-01/runtime/invocation/" + r.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", str(os.getpid()))
    c.getresponse().read()
    while not os.path.exists(path):
        time.sleep(0.005)
"#;

#[tokio::test]
async fn an_answer_is_not_held_back_and_its_process_is_kept() {
    let bench = Bench::new().await;
    let function = provided(&bench, WORKS_ON);
    let mark = bench.path().join("mark");
    let event = serde_json::to_string(&mark).unwrap();
    let first = response(&bench.invoke(&function, &event).await);
    let here = serde_json::to_string(&function.code).unwrap();
    let second = response(&bench.invoke(&function, &here).await);
    assert_ne!(first, second, "the first one has not asked for more");
    fs::write(&mark, "").unwrap();
    bench.until("it asked", || (bench.runner.busy() == 0).then_some(())).await;
    let third = response(&bench.invoke(&function, &here).await);
    assert_eq!(third, first, "the one that became idle last");
}

#[tokio::test]
async fn a_process_that_never_asks_again_ends_at_the_timeout() {
    let bench = Bench::new().await;
    let mut function = bench.function("provided.al2", "h", &[("bootstrap", WORKS_ON)]);
    function.timeout = Duration::from_secs(1);
    let pid = response(&bench.invoke(&Arc::new(function), "\"/nowhere\"").await);
    bench.until("it ends", || (!runs(&pid)).then_some(())).await;
}
