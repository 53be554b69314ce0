//! `durastack env`: what a shell needs, and must not have, to talk to durastack.

use crate::console;
use anyhow::Result;
use clap::Args;
use std::fmt::Write;

#[derive(Args)]
pub(crate) struct Flags {
    /// Port that durastack listens on
    #[arg(long, env = "DURASTACK_PORT", default_value_t = 4566)]
    port: u16,
    /// Region that clients shall use
    #[arg(long, default_value = "us-east-1")]
    region: String,
}

/// Variables that would lead a client elsewhere, or make it sign with something else.
const UNSET: [&str; 6] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_STS",
];

pub(crate) fn print(flags: &Flags) -> Result<()> {
    console::print(&text(flags))
}

fn text(flags: &Flags) -> String {
    let loopback = "localhost,127.0.0.1,::1";
    let set = [
        ("AWS_ENDPOINT_URL", format!("http://localhost:{}", flags.port)),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", flags.region.clone()),
        ("AWS_DEFAULT_REGION", flags.region.clone()),
        ("NO_PROXY", format!("{loopback}${{NO_PROXY:+,$NO_PROXY}}")),
        ("no_proxy", format!("{loopback}${{no_proxy:+,$no_proxy}}")),
    ];
    let mut text = String::new();
    for (name, value) in set {
        writeln!(text, "export {name}=\"{value}\"").expect("writing to a String");
    }
    writeln!(text, "unset {}", UNSET.join(" ")).expect("writing to a String");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_learns_where_and_as_whom() {
        let text = text(&Flags { port: 4567, region: "eu-west-1".to_owned() });
        assert!(text.contains("export AWS_ENDPOINT_URL=\"http://localhost:4567\"\n"));
        assert!(text.contains("export AWS_REGION=\"eu-west-1\"\n"));
        assert!(text.ends_with("AWS_ENDPOINT_URL_STS\n"));
    }
}
