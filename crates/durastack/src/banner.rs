//! What `durastack start` says when it serves.

use durastack_clock::Clock;
use durastack_gate::Auth;
use std::{fmt::Write, io::IsTerminal, path::Path, time::Duration};

/// Everything that the banner shows.
pub(crate) struct Facts<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) auth: Auth,
    /// Who besides this machine's own programs can call; `None` on loopback.
    pub(crate) open_to: Option<&'a str>,
    pub(crate) clock: &'a Clock,
    /// `None` for a temporary folder.
    pub(crate) data: Option<&'a Path>,
    pub(crate) port: u16,
    pub(crate) resumed: usize,
}

pub(crate) fn text(facts: &Facts<'_>) -> String {
    let (bold, dim, end) = if std::io::stdout().is_terminal() {
        ("\x1b[1m", "\x1b[2m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let keys = match facts.auth {
        Auth::Strict => "test / test (signatures are verified)",
        Auth::Off => "any (signatures are not verified)",
    };
    let data = facts
        .data
        .map_or_else(|| "temporary, gone at the end".to_owned(), |path| path.display().to_string());
    let port = if facts.port == 4566 { String::new() } else { format!(" --port {}", facts.port) };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {dim}{name:<10}{end}{value}").expect("writing to a String");
    };
    line("endpoint", &format!("{bold}{}{end}", facts.endpoint));
    line("serves", "AWS Lambda with durable functions, AWS STS");
    line("", "Alibaba Cloud Serverless Workflow");
    line("keys", keys);
    if let Some(who) = facts.open_to {
        line("open to", &format!("{who}; the keys are public"));
    }
    line("clock", &clock(facts.clock));
    line("data", &data);
    if facts.resumed > 0 {
        line("resumed", &format!("{} executions that were under way", facts.resumed));
    }
    format!(
        "\n{bold}durastack {}{end}\n\n{text}\n  In another shell:  eval \"$(durastack env{port})\"\n  Ctrl-C stops it.\n\n",
        env!("CARGO_PKG_VERSION"),
    )
}

fn clock(clock: &Clock) -> String {
    let ahead = clock.offset();
    if ahead.is_zero() {
        "real time".to_owned()
    } else {
        format!("{} ahead of real time", duration(ahead))
    }
}

/// `30d`, `1h30m`, `250ms`: as `advance` reads it.
pub(crate) fn duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let parts = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let (mut rest, mut text) = (ms, String::new());
    for (unit, word) in parts {
        if rest >= unit {
            write!(text, "{}{word}", rest / unit).expect("writing to a String");
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
