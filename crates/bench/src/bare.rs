//! The HTTP baselines: a bare hyper server, and a Runtime API that does nothing but hand out work.

use crate::server::{clean, cpu_ms, first_line};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use durastack_clock::Entropy;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    sync::Arc,
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
};
use tokio_util::task::TaskTracker;

/// The variable that makes this program the bare server; its value is the file with the body of all answers.
pub(crate) const BARE: &str = "BENCH_BARE_BODY";

/// Serves one body for ever; prints its port.
pub(crate) async fn serve(body: &Path) -> Result<()> {
    let body = Bytes::from(std::fs::read(body)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout().lock(), "{}", listener.local_addr()?.port())?;
    let request_id = Entropy::system().uuid();
    accept(listener, move |request: Request<Incoming>| {
        let mut response = Response::new(Full::new(body.clone()));
        let headers = response.headers_mut();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        if let Ok(id) = http::HeaderValue::from_str(&request_id) {
            headers.insert("x-amzn-requestid", id);
        }
        async move {
            drop(request);
            response
        }
    })
    .await;
    Ok(())
}

/// A bare server in a process of its own, as durastack is.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    pub(crate) async fn start(folder: &Path, body: &[u8]) -> Result<Self> {
        let file = folder.join("bare-body");
        std::fs::write(&file, body)?;
        let mut child = Command::new(std::env::current_exe()?)
            .env(BARE, &file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("no standard output")?;
        let port: u16 = first_line(output).await.context("no port")?.parse()?;
        Ok(Self { child, address: (Ipv4Addr::LOCALHOST, port).into() })
    }

    /// As of a server.
    pub(crate) fn cpu_ms(&self) -> Result<f64> {
        cpu_ms(&self.child)
    }
}

async fn accept<F, A>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let connections = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        // Without it an answer may wait for an acknowledgement; it costs time alone.
        stream.set_nodelay(true).ok();
        let answer = answer.clone();
        let service = service_fn(move |request| {
            let answered = answer(request);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// The bare Runtime API with one process at it.
pub(crate) struct RuntimeLoop {
    offers: mpsc::Sender<Bytes>,
    answers: mpsc::Receiver<Result<Bytes, String>>,
    _child: Child,
    _server: tokio_util::sync::DropGuard,
}

/// What a function process of the baseline is.
pub(crate) struct Program<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [&'a Path],
    pub(crate) handler: &'a str,
    /// Holds the code.
    pub(crate) folder: &'a Path,
    /// The runtime's name for `AWS_EXECUTION_ENV`.
    pub(crate) runtime: &'a str,
}

/// What the process's requests meet.
struct Desk {
    offers: Mutex<mpsc::Receiver<Bytes>>,
    answers: mpsc::Sender<Result<Bytes, String>>,
    entropy: std::sync::Mutex<Entropy>,
    operations: std::sync::Mutex<Operations>,
}

/// The operations of a durable execution that has only this memory.
#[derive(Default)]
struct Operations {
    checkpoints: u64,
    known: BTreeMap<String, Value>,
}

impl RuntimeLoop {
    pub(crate) async fn start(program: &Program<'_>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (offers, offered) = mpsc::channel(1);
        let (answering, answers) = mpsc::channel(1);
        let desk = Arc::new(Desk {
            offers: Mutex::new(offered),
            answers: answering,
            entropy: std::sync::Mutex::new(Entropy::system()),
            operations: std::sync::Mutex::default(),
        });
        let closed = tokio_util::sync::CancellationToken::new();
        let server = accept(listener, move |request| Arc::clone(&desk).answer(request));
        let until = closed.clone();
        TaskTracker::new().spawn(async move {
            tokio::select! {
                () = until.cancelled() => {}
                () = server => {}
            }
        });
        let mut command = Command::new("/bin/sh");
        clean(&mut command);
        let endpoint = format!("http://{address}");
        let child = command
            // The bootstrap writes its log to descriptor 3.
            .args(["-c", "exec \"$@\" 3>/dev/null >/dev/null", "sh"])
            .arg(program.program)
            .args(program.arguments)
            .current_dir(program.folder)
            .env("_HANDLER", program.handler)
            .env("LAMBDA_TASK_ROOT", program.folder)
            .env("AWS_LAMBDA_RUNTIME_API", &address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "bare")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", program.runtime))
            .env("AWS_ENDPOINT_URL", &endpoint)
            .env("AWS_ENDPOINT_URL_LAMBDA", &endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            // As long as the one that functions get.
            .env("AWS_SESSION_TOKEN", "t".repeat(76))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let _server = closed.drop_guard();
        Ok(Self { offers, answers, _child: child, _server })
    }

    /// One invocation, from the offer to the answer.
    pub(crate) async fn invoke(&mut self, event: Bytes) -> Result<Bytes> {
        self.offers.send(event).await.context("the bare Runtime API has ended")?;
        match self.answers.recv().await.context("the bare Runtime API has ended")? {
            Ok(answer) => Ok(answer),
            Err(error) => bail!("the function failed: {error}"),
        }
    }
}

impl Desk {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        let path = head.uri.path();
        if head.method == Method::GET {
            return match self.offers.lock().await.recv().await {
                Some(event) => self.work(event),
                // The bench is through with it, and the process goes next.
                None => std::future::pending().await,
            };
        }
        if path.ends_with("/checkpoint") {
            return respond(StatusCode::OK, self.checkpoint(&body));
        }
        let answer = if path.ends_with("/response") {
            Ok(body)
        } else {
            Err(String::from_utf8_lossy(&body).into_owned())
        };
        // Nobody waits only when the bench is over.
        self.answers.send(answer).await.ok();
        respond(StatusCode::ACCEPTED, Bytes::new())
    }

    fn work(&self, event: Bytes) -> Response<Full<Bytes>> {
        *self.operations.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Operations::default();
        let id = self.entropy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).uuid();
        let mut response = respond(StatusCode::OK, event);
        let headers = response.headers_mut();
        if let Ok(id) = http::HeaderValue::from_str(&id) {
            headers.insert("lambda-runtime-aws-request-id", id);
        }
        let far = http::HeaderValue::from_static("4102444800000");
        headers.insert("lambda-runtime-deadline-ms", far);
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:bare";
        headers.insert("lambda-runtime-invoked-function-arn", http::HeaderValue::from_static(arn));
        response
    }

    /// What the service would say of these updates, at once.
    fn checkpoint(&self, body: &[u8]) -> Bytes {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut operations =
            self.operations.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        operations.checkpoints += 1;
        let mut touched = BTreeMap::new();
        for update in asked["Updates"].as_array().into_iter().flatten() {
            let id = update["Id"].as_str().unwrap_or_default().to_owned();
            let known = operations.known.entry(id.clone()).or_insert_with(
                || json!({ "Id": id, "Type": update["Type"], "StartTimestamp": 1_767_323_045.678 }),
            );
            for member in ["Name", "ParentId", "SubType"] {
                if let Some(value) = update.get(member) {
                    known[member] = value.clone();
                }
            }
            known["Status"] = json!("STARTED");
            if update["Action"] == "SUCCEED" {
                known["Status"] = json!("SUCCEEDED");
                known["EndTimestamp"] = json!(1_767_323_045.679);
                let details =
                    if update["Type"] == "CONTEXT" { "ContextDetails" } else { "StepDetails" };
                known[details] = json!({ "Result": update["Payload"], "Attempt": 1 });
            }
            touched.insert(id, known.clone());
        }
        let touched: Vec<_> = touched.into_values().collect();
        // As long as durastack's tokens are.
        let token = format!("{:0>80}", operations.checkpoints);
        let answer =
            json!({ "CheckpointToken": token, "NewExecutionState": { "Operations": touched } });
        Bytes::from(answer.to_string())
    }
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}
