//! Quotas of requests, as chosen by flag and file.

use crate::process::{Server, durastack, output};
use std::{fs, path::Path};

/// Two calls at once, and one more every 1,000 seconds.
const QUOTAS: &str = r#"
[[bucket]]
service = "lambda"
operations = ["ListFunctions", "GetPolicy"]
rate = 0.001
burst = 2
"#;

const FUNCTIONS: &str = "/2015-03-31/functions/";
const POLICY: &str = "/2015-03-31/functions/order/policy";

fn calls(server: &Server, paths: &[&str]) -> Vec<u16> {
    paths.iter().map(|path| server.call("GET", path, "", "").0).collect()
}

fn start_in(folder: &Path, flags: &[&str]) -> Server {
    let mut command = durastack();
    command.args(["start", "--port", "0", "--ephemeral", "--auth", "off"]);
    command.args(flags).current_dir(folder);
    Server::run(command, &folder.join("ready"))
}

#[test]
fn a_file_of_quotas_holds_before_anything_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("quotas.toml"), QUOTAS).unwrap();
    let server = start_in(folder.path(), &["--throttle", "quotas.toml"]);
    // One of the two is not built, which costs a call as well.
    assert_eq!(calls(&server, &[FUNCTIONS, POLICY, FUNCTIONS, POLICY]), [200, 501, 429, 429]);
    let (_, body) = server.call("GET", FUNCTIONS, "", "");
    assert_eq!(
        body,
        r#"{"Reason":"CallerRateLimitExceeded","Type":"User","message":"Rate exceeded"}"#
    );
    assert_eq!(calls(&server, &["/2016-08-19/account-settings", "/_durastack/clock"]), [200, 200]);
}

#[test]
fn the_flag_goes_before_the_file_whose_paths_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("conf");
    fs::create_dir(&conf).unwrap();
    fs::write(conf.join("quotas.toml"), QUOTAS).unwrap();
    fs::write(conf.join("durastack.toml"), "throttle = \"quotas.toml\"\n").unwrap();
    let file = ["--config", "conf/durastack.toml"];
    let server = start_in(folder.path(), &file);
    assert_eq!(calls(&server, &[FUNCTIONS; 3]), [200, 200, 429]);
    drop(server);
    for word in ["off", "cloud"] {
        let server = start_in(folder.path(), &[file[0], file[1], "--throttle", word]);
        assert_eq!(calls(&server, &[FUNCTIONS; 3]), [200, 200, 200], "{word}");
    }
}

#[test]
fn quotas_that_are_wrong_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quotas.toml");
    let refused = || {
        let mut command = durastack();
        command.args(["start", "--port", "0", "--ephemeral", "--throttle"]).arg(&path);
        let refused = output(command);
        assert!(!refused.status.success());
        String::from_utf8(refused.stderr).unwrap()
    };
    let text = refused();
    assert!(text.contains("failed to read") && text.contains("quotas.toml"), "{text}");
    fs::write(&path, QUOTAS.replace("ListFunctions", "ListFlows")).unwrap();
    let text = refused();
    assert!(
        text.contains(
            "quotas.toml: line 4: bucket[0].operations[0]: unknown operation `ListFlows`"
        ),
        "{text}"
    );
}
