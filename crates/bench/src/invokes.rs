//! What an invocation costs beyond the function's own time.

use crate::{
    bare::{Program, RuntimeLoop},
    client::Ask,
    figures::{Latencies, Row, short, spread},
    function::ECHO,
    http_load::deploy_self,
    plan::{Plan, Python},
    server::{Deploy, Server, invoke_target},
};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use durastack_clock::Stopwatch;
use serde_json::json;
use std::path::{Path, PathBuf};

const EVENT: &str = r#"{"orderId":"A-1001"}"#;
const PYTHON_HANDLER: &str = "handler.handler";
const PYTHON_ECHO: &str = "def handler(event, context):\n    return event\n";
const PYTHON_STEPS: &str = "\
from aws_durable_execution_sdk_python import durable_execution


@durable_execution
def handler(event, context):
    for number in range(event[\"steps\"]):
        context.step(lambda _: number, name=\"step-%d\" % number)
    return event[\"steps\"]
";

/// Synchronous invokes of warm functions against a bare Runtime API.
pub(crate) async fn plain(plan: &Plan, folder: &Path, python: &Python) -> Result<Vec<Row>> {
    let program = python.program.as_deref();
    let mut server = Server::start(&folder.join("invokes"), program).await?;
    deploy_self(&mut server, ECHO, ECHO, false).await?;
    let code_folder = folder.join("bare-provided");
    std::fs::create_dir_all(&code_folder)?;
    let own = std::env::current_exe()?;
    let bare = RuntimeLoop::start(&Program {
        program: &own,
        arguments: &[],
        handler: ECHO,
        folder: &code_folder,
        runtime: "provided.al2023",
    })
    .await?;
    let mut rows = vec![overhead(plan, &mut server, bare, ECHO, "provided").await?];
    if let Some(program) = program {
        deploy_python(&mut server, python, "python", PYTHON_ECHO, false).await?;
        let bare = bare_python(folder, &server, program, PYTHON_ECHO).await?;
        rows.push(overhead(plan, &mut server, bare, "python", "Python").await?);
    } else {
        rows.push(Row::absent("one warm Python invoke", "skipped: there is no python3"));
    }
    server.stop().await?;
    Ok(rows)
}

async fn overhead(
    plan: &Plan,
    server: &mut Server,
    mut bare: RuntimeLoop,
    function: &str,
    language: &str,
) -> Result<Row> {
    let (mut ours, mut theirs) = (Latencies::default(), Latencies::default());
    // The first one starts the process.
    invoke(server, function, EVENT).await?;
    bare.invoke(Bytes::from_static(EVENT.as_bytes())).await?;
    // In turns, so that whatever else the machine does strikes both.
    for _ in 0..plan.singles * 3 {
        let one = Stopwatch::start();
        bare.invoke(Bytes::from_static(EVENT.as_bytes())).await?;
        theirs.stop(one);
        let one = Stopwatch::start();
        invoke(server, function, EVENT).await?;
        ours.stop(one);
    }
    let overhead = ours.p50() - theirs.p50();
    Ok(Row {
        what: format!("one warm {language} invoke, +{} ms median", short(overhead)),
        measured: spread(&ours),
        baseline: format!("bare Runtime API loop: {}", spread(&theirs)),
        ratio: Some(ours.p50() / theirs.p50()),
        target: "≤ 1 ms more, median".to_owned(),
        met: Some(overhead <= 1.0),
    })
}

async fn invoke(server: &mut Server, function: &str, event: &str) -> Result<Vec<u8>> {
    let target = invoke_target(function);
    let body = event.as_bytes();
    let ask = Ask { method: "POST", target: &target, body, ..Ask::default() };
    let answer = server.ask(ask).await?.expect(200)?;
    if answer.header("x-amz-function-error").is_some() {
        bail!("a function failed: {}", String::from_utf8_lossy(&answer.body));
    }
    Ok(answer.body)
}

async fn deploy_python(
    server: &mut Server,
    python: &Python,
    name: &str,
    code: &str,
    durable: bool,
) -> Result<()> {
    let (runtime, handler, file) = (&*python.runtime, PYTHON_HANDLER, "handler.py");
    let code = code.as_bytes();
    server.deploy(&Deploy { name, runtime, handler, file, code, durable }).await
}

/// The same code under the same bootstrap, fed by the bare Runtime API.
async fn bare_python(
    folder: &Path,
    server: &Server,
    python: &Path,
    code: &str,
) -> Result<RuntimeLoop> {
    let code_folder = folder.join("bare-python");
    std::fs::create_dir_all(&code_folder)?;
    std::fs::write(code_folder.join("handler.py"), code)?;
    let bootstrap = bootstrap(&server.folder.join("data/run"))?;
    let program = Program {
        program: python,
        arguments: &[&bootstrap],
        handler: PYTHON_HANDLER,
        folder: &code_folder,
        runtime: "python3.13",
    };
    RuntimeLoop::start(&program).await
}

/// The Python bootstrap that this durastack has unpacked.
fn bootstrap(run: &Path) -> Result<PathBuf> {
    let unpacked = std::fs::read_dir(run)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files = unpacked.map(|folder| folder.join("bootstrap.py"));
    files.find(|file| file.is_file()).context("durastack has unpacked no Python bootstrap")
}

/// How many steps the long execution has.
const STEPS: usize = 500;

/// Durable executions of the official SDK against the SDK with a service that answers at once.
pub(crate) async fn durable(plan: &Plan, folder: &Path, python: &Python) -> Result<Vec<Row>> {
    let what = "durable executions, Python SDK";
    let program = match (&python.program, python.durable_sdk) {
        (Some(program), true) => program,
        (Some(_), false) => {
            let why = "skipped: no aws-durable-execution-sdk-python in $VIRTUAL_ENV or .venv";
            return Ok(vec![Row::absent(what, why)]);
        }
        (None, _) => return Ok(vec![Row::absent(what, "skipped: there is no python3")]),
    };
    let mut server = Server::start(&folder.join("durable"), Some(program)).await?;
    deploy_python(&mut server, python, "steps", PYTHON_STEPS, true).await?;
    let mut bare = bare_python(folder, &server, program, PYTHON_STEPS).await?;
    // The first ones load the SDK and open its connections.
    compare(&mut server, &mut bare, 3, 2).await?;
    let (short_ours, short_theirs) =
        compare(&mut server, &mut bare, 3, plan.short_executions).await?;
    let (half_ours, _) = compare(&mut server, &mut bare, STEPS / 2, plan.long_executions).await?;
    let (long_ours, long_theirs) =
        compare(&mut server, &mut bare, STEPS, plan.long_executions).await?;
    server.stop().await?;
    let row = |steps: usize, ours: &Latencies, theirs: &Latencies| Row {
        what: format!("durable execution of {steps} steps, Python SDK"),
        measured: spread(ours),
        baseline: format!("the SDK alone: {}", spread(theirs)),
        ratio: Some(ours.p50() / theirs.p50()),
        target: "≤ 1.1".to_owned(),
        met: Some(ours.p50() <= 1.1 * theirs.p50()),
    };
    let growth = long_ours.p50() / half_ours.p50();
    Ok(vec![
        row(3, &short_ours, &short_theirs),
        row(STEPS, &long_ours, &long_theirs),
        Row {
            what: format!("{STEPS} steps to {}", STEPS / 2),
            measured: format!("{} ms", short(long_ours.p50())),
            baseline: format!("{} ms", short(half_ours.p50())),
            ratio: Some(growth),
            target: "linear: ≤ 2.2".to_owned(),
            met: Some(growth <= 2.2),
        },
    ])
}

/// Times of whole executions, in turns: ours, then those of the SDK alone.
async fn compare(
    server: &mut Server,
    bare: &mut RuntimeLoop,
    steps: usize,
    count: usize,
) -> Result<(Latencies, Latencies)> {
    let input = json!({ "steps": steps }).to_string();
    let (mut ours, mut theirs) = (Latencies::default(), Latencies::default());
    for _ in 0..count {
        let event = envelope(&input);
        let one = Stopwatch::start();
        let answer = bare.invoke(event).await?;
        theirs.stop(one);
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        if answer["Status"] != "SUCCEEDED" {
            bail!("the SDK alone did not succeed: {answer}");
        }
        let one = Stopwatch::start();
        let answer = invoke(server, "steps", &input).await?;
        ours.stop(one);
        if answer != steps.to_string().as_bytes() {
            bail!("an execution gave {}", String::from_utf8_lossy(&answer));
        }
    }
    Ok((ours, theirs))
}

/// What the service hands to a durable function at the start of an execution.
fn envelope(input: &str) -> Bytes {
    let execution = json!({
        "Id": "0190a3c4-7f3e-7000-8000-000000000001",
        "Type": "EXECUTION",
        "Status": "STARTED",
        "StartTimestamp": 1_767_323_045_678_u64,
        "ExecutionDetails": { "InputPayload": input },
    });
    let envelope = json!({
        "DurableExecutionArn": "arn:aws:lambda:us-east-1:000000000000:function:bare:$LATEST/durable-execution/\
            0190a3c4-7f3e-7000-8000-000000000002/0190a3c4-7f3e-7000-8000-000000000001",
        "CheckpointToken": "0".repeat(80),
        "InitialExecutionState": { "Operations": [execution], "NextMarker": "" },
        "UpdatedOperationIds": [],
    });
    Bytes::from(envelope.to_string())
}
