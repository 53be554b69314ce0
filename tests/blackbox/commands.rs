//! The commands that print and end.

use crate::process::{durastack, output};
use std::path::Path;

#[test]
fn env_prints_what_a_shell_needs() {
    let mut command = durastack();
    command.args(["env", "--port", "4567"]);
    let printed = output(command);
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(text.contains("export AWS_ENDPOINT_URL=\"http://localhost:4567\""), "{text}");
    assert!(text.contains("unset AWS_PROFILE"), "{text}");
    assert!(text.contains("export ALIBABA_CLOUD_ENDPOINT_FNF=\"localhost:4567\""), "{text}");
}

#[test]
fn the_table_of_operations_is_the_codes_own() {
    let mut command = durastack();
    command.arg("coverage");
    let printed = String::from_utf8(output(command).stdout).unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../COVERAGE.md");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert_eq!(printed, kept, "COVERAGE.md is out of date: run `make coverage`");
}
