//! The durastack binary: flags, configuration, wiring, signals, log output and the admin API.

mod admin;
mod banner;
mod console;
mod functions;
mod options;
mod server;
mod shell;
mod start;
mod throttle;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A local cloud for durable workflows.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until Ctrl-C
    Start(Box<options::Flags>),
    /// Prints what a shell needs to talk to durastack; use it as: eval "$(durastack env)"
    Env(shell::Flags),
    /// Prints the table of operations and how much of each is built, as Markdown
    Coverage,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Start(flags) => start::run(*flags),
        Command::Env(flags) => shell::print(&flags),
        Command::Coverage => console::print(&server::coverage()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("durastack: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
