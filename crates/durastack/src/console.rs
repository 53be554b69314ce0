//! What a person sees: standard output and error, and the output of functions as it comes.

use crate::options::LogFormat;
use anyhow::{Context, Result};
use durastack_runner::{LineKind, LogLine, Logs};
use serde::Serialize;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{BufWriter, IsTerminal, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};
use tracing_subscriber::EnvFilter;

/// Prints to standard output. A reader that has gone is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("failed to print")
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard error; there is nowhere to complain about a failure.
pub(crate) fn complain(line: &str) {
    let mut text = line.to_owned();
    text.push('\n');
    std::io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Sets up durastack's own log, on standard error. `RUST_LOG` chooses otherwise than warnings and errors.
pub(crate) fn start_tracing(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init()
        }
        LogFormat::Json => builder.json().init(),
    }
}

/// How many lines may wait to be written. A function that prints faster than that loses lines, and is told.
const LINES_WAITING_MAX: usize = 10_000;
/// How large a function's log file grows before it is put aside; one such file is kept.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long a line may lie in a buffer.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// The output of functions: shown as it comes, and kept in a file per function.
#[derive(Debug)]
pub(crate) struct FunctionLogs {
    lines: SyncSender<Message>,
    lost: Arc<Lost>,
}

/// How many lines were lost since the writer last had nothing to do. Told twice, however many they are: at the first,
/// and with their number once the writer has caught up.
#[derive(Debug, Default)]
struct Lost(AtomicU64);

impl Lost {
    fn one_more(&self) {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("functions print faster than their lines can be written; some are lost");
        }
    }

    fn caught_up(&self) {
        let lost = self.0.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "the lines of functions are written again; some were lost");
        }
    }
}

/// What the writing thread is told.
#[derive(Debug)]
enum Message {
    /// Boxed: the queue's places are there from the start, and used by few.
    Line(Box<Line>),
    End,
}

/// One line, as the files keep it.
#[derive(Debug, Serialize)]
struct Line {
    at: String,
    function: String,
    version: String,
    stream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_arn: Option<String>,
    kind: &'static str,
    text: String,
}

impl FunctionLogs {
    /// Starts the thread that writes. It ends at [`FunctionLogs::end`].
    pub(crate) fn start(folder: PathBuf, show: bool) -> Result<(Self, JoinHandle<()>)> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create {}", folder.display()))?;
        let (sender, receiver) = sync_channel(LINES_WAITING_MAX);
        let lost = Arc::<Lost>::default();
        let writer = Writer {
            folder,
            show,
            colour: std::io::stdout().is_terminal(),
            files: HashMap::new(),
            lost: Arc::clone(&lost),
        };
        let thread = std::thread::Builder::new().name("function-logs".to_owned());
        let thread =
            thread.spawn(move || writer.run(&receiver)).context("failed to start a thread")?;
        Ok((Self { lines: sender, lost }, thread))
    }

    /// Nothing more will come; what has come is written. Blocks while the thread is behind.
    pub(crate) fn end(&self) {
        self.lines.send(Message::End).ok();
    }
}

impl Logs for FunctionLogs {
    fn line(&self, line: LogLine<'_>) {
        let owned = Line {
            at: line.at.iso(),
            function: line.function.to_owned(),
            version: line.version.to_owned(),
            stream: line.stream.to_owned(),
            request_id: line.request_id.map(str::to_owned),
            execution_arn: line.execution_arn.map(str::to_owned),
            kind: match line.kind {
                LineKind::Platform => "platform",
                LineKind::Application => "application",
            },
            text: String::from_utf8_lossy(line.text).into_owned(),
        };
        let sent = self.lines.try_send(Message::Line(Box::new(owned)));
        if matches!(sent, Err(TrySendError::Full(_))) {
            self.lost.one_more();
        }
    }
}

struct Writer {
    folder: PathBuf,
    show: bool,
    colour: bool,
    files: HashMap<String, BufWriter<File>>,
    lost: Arc<Lost>,
}

impl Writer {
    fn run(mut self, lines: &Receiver<Message>) {
        loop {
            match lines.recv_timeout(FLUSH_EVERY) {
                Ok(Message::Line(line)) => {
                    if self.show {
                        print(&self.shown(&line)).ok();
                    }
                    if let Err(error) = self.keep(&line) {
                        tracing::warn!(%error, function = line.function, "failed to write a function's log");
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.rest(),
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return self.rest(),
            }
        }
    }

    /// All that came is written.
    fn rest(&mut self) {
        for file in self.files.values_mut() {
            file.flush().ok();
        }
        self.lost.caught_up();
    }

    fn shown(&self, line: &Line) -> String {
        let text = line.text.trim_end_matches('\n').replace('\r', "\n");
        let (dim, bright, end) = match (self.colour, line.kind) {
            (false, _) => ("", "", ""),
            (true, "platform") => ("\x1b[2m", "", "\x1b[0m"),
            (true, _) => ("", "\x1b[36m", "\x1b[0m"),
        };
        let name = format!("{bright}{}{}", line.function, if bright.is_empty() { "" } else { end });
        text.lines()
            .map(|part| format!("{dim}{name} | {part}{}\n", if dim.is_empty() { "" } else { end }))
            .collect()
    }

    fn keep(&mut self, line: &Line) -> std::io::Result<()> {
        let path = self.folder.join(format!("{}.jsonl", line.function));
        if !self.files.contains_key(&line.function) {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            self.files.insert(line.function.clone(), BufWriter::new(file));
        }
        let Some(file) = self.files.get_mut(&line.function) else { return Ok(()) };
        serde_json::to_writer(&mut *file, line)?;
        file.write_all(b"\n")?;
        if file.get_ref().metadata()?.len() > FILE_BYTES_MAX {
            file.flush()?;
            self.files.remove(&line.function);
            fs::rename(&path, path.with_extension("1.jsonl"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use durastack_clock::Timestamp;

    #[test]
    fn lost_lines_are_told_at_the_first_and_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(File::create(&told).unwrap())
            .finish();
        let lost = Arc::<Lost>::default();
        let (lines, receiver) = sync_channel(2);
        let logs = FunctionLogs { lines, lost: Arc::clone(&lost) };
        let writer = Writer {
            folder: folder.path().to_owned(),
            show: false,
            colour: false,
            files: HashMap::new(),
            lost,
        };
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..100 {
                logs.line(LogLine {
                    at: Timestamp::from_millis(0),
                    function: "loud",
                    version: "$LATEST",
                    group: "group",
                    stream: "stream",
                    request_id: None,
                    execution_arn: None,
                    kind: LineKind::Application,
                    text: b"again",
                });
            }
            drop(logs);
            writer.run(&receiver);
        });
        let told = fs::read_to_string(told).unwrap();
        let told: Vec<_> = told.lines().collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].ends_with("some are lost"), "{told:?}");
        assert!(told[1].ends_with("lost=98"), "{told:?}");
        let kept = fs::read_to_string(folder.path().join("loud.jsonl")).unwrap();
        assert_eq!(kept.lines().count(), 2);
    }
}
