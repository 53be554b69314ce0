//! The bench as a Lambda function: with a Runtime API in its environment, this program is the `bootstrap` of a package.

use crate::{
    client::{Answer, Ask, Connection, Signer, encode},
    figures::millis,
};
use anyhow::{Context, Result, bail};
use durastack_clock::{Clock, Stopwatch};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{net::SocketAddr, time::Duration};

/// The variable that says where the Runtime API is.
pub(crate) const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Answers with what it gets.
pub(crate) const ECHO: &str = "echo";

/// Makes checkpoints; the event is a [`Load`].
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// When and how many checkpoints are made. Times are in ms since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) count_max: usize,
}

/// What the function reports: the time of each checkpoint, in µs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) micros: Vec<f64>,
}

/// How long the result of a step is, in characters.
const RESULT_CHARS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    durable_execution_arn: String,
    checkpoint_token: String,
    initial_execution_state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Operation {
    execution_details: Option<ExecutionDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecutionDetails {
    input_payload: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Checkpointed {
    checkpoint_token: String,
}

/// Serves invocations until the process is ended.
pub(crate) async fn run(api: &str) -> Result<()> {
    let handler = variable("_HANDLER")?;
    let mut api = Connection::open(api.parse().context("the Runtime API's address")?).await?;
    let next = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: localhost\r\n\r\n";
    loop {
        let work = api.call(next).await?.expect(200)?;
        let id = work.header("lambda-runtime-aws-request-id").context("no request id")?.to_owned();
        let answer = match &*handler {
            ECHO => work.body,
            CHECKPOINTS => checkpoints(&work).await?,
            other => bail!("there is no handler '{other}'"),
        };
        let head = format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nhost: localhost\r\n\
             content-length: {}\r\n\r\n",
            answer.len()
        );
        api.call(&[head.as_bytes(), &answer].concat()).await?.expect(202)?;
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("the variable {name}"))
}

async fn checkpoints(work: &Answer) -> Result<Vec<u8>> {
    let envelope: Envelope = serde_json::from_slice(&work.body)?;
    let input = envelope.initial_execution_state.operations.into_iter().next();
    let input = input.and_then(|operation| operation.execution_details).context("no input")?;
    let load: Load = serde_json::from_str(&input.input_payload)?;
    let (endpoint, signer) = own_access()?;
    let path = encode(&envelope.durable_execution_arn, b"");
    let target = format!("/2025-12-01/durable-executions/{path}/checkpoint");
    let mut token = envelope.checkpoint_token;
    let mut connection = Connection::open(endpoint).await?;
    let clock = Clock::system(Duration::ZERO);
    let wait = load.from - clock.wall().millis();
    tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0))).await;
    let mut micros = Vec::new();
    while micros.len() < load.count_max && clock.wall().millis() < load.until {
        let one = Stopwatch::start();
        let body = body(&token, micros.len());
        let ask = Ask { method: "POST", target: &target, body: &body, ..Ask::default() };
        let answer = connection.call(&signer.request(ask)).await?.expect(200)?;
        let answer: Checkpointed = serde_json::from_slice(&answer.body)?;
        token = answer.checkpoint_token;
        micros.push((millis(one) * 1e3).round());
    }
    let result = serde_json::to_string(&Report { micros })?;
    Ok(json!({ "Status": "SUCCEEDED", "Result": result }).to_string().into_bytes())
}

/// Where the durable API is, and the key for it.
fn own_access() -> Result<(SocketAddr, Signer)> {
    let endpoint = variable("AWS_ENDPOINT_URL_LAMBDA")?;
    let endpoint = endpoint.trim_start_matches("http://").parse().context("the endpoint")?;
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    Ok((endpoint, Signer::new(&id, &secret, variable("AWS_SESSION_TOKEN").ok())))
}

/// A step from its start to its success, in one request as the SDKs send it.
fn body(token: &str, number: usize) -> Vec<u8> {
    let (id, result) = (format!("step-{number}"), format!("\"{}\"", "r".repeat(RESULT_CHARS)));
    let update = |action: &str| json!({ "Id": id, "Type": "STEP", "SubType": "Step", "Name": "work", "Action": action });
    let (start, mut succeed) = (update("START"), update("SUCCEED"));
    succeed["Payload"] = json!(result);
    json!({ "CheckpointToken": token, "Updates": [start, succeed] }).to_string().into_bytes()
}
