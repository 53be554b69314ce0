//! How durastack starts, and what it refuses to start with.

use crate::process::{Server, durastack, output};
use serde_json::Value;
use std::fs::{self, File};

#[test]
fn the_ready_file_says_where_and_as_whom() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    assert_eq!(server.ready["endpoint"], format!("http://localhost:{}", server.port()));
    assert_eq!(
        (&server.ready["access_key_id"], &server.ready["secret_access_key"]),
        (&"test".into(), &"test".into())
    );
    for path in ["/_durastack/health", "/_localstack/health"] {
        let (status, body) = server.call("GET", path, "", "");
        assert_eq!(status, 200, "{path}");
        assert!(body.contains("running"), "{path}: {body}");
    }
}

#[test]
fn in_json_standard_output_is_what_the_ready_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let (out, ready) = (folder.path().join("out"), folder.path().join("ready"));
    let mut command = durastack();
    command.args(["start", "--port", "0", "--ephemeral", "--log-format", "json"]);
    command.arg("--ready-file").arg(&ready).current_dir(folder.path());
    command.stdout(File::create(&out).unwrap());
    let server = Server::spawn(command, &out);
    assert_eq!(server.call("GET", "/_durastack/health", "", "").0, 200);
    assert_eq!(fs::read(&out).unwrap(), fs::read(&ready).unwrap());
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 1);
}

#[test]
fn who_can_call_from_afar_is_said() {
    let started = |host: &str| {
        let folder = tempfile::tempdir().unwrap();
        let [out, err, ready] = ["out", "err", "ready"].map(|name| folder.path().join(name));
        let mut command = durastack();
        command.args(["start", "--port", "0", "--ephemeral", "--host", host]);
        command.arg("--ready-file").arg(&ready).current_dir(folder.path());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut server = Server::spawn(command, &ready);
        server.signal("TERM");
        assert!(server.ended().success());
        (fs::read_to_string(out).unwrap(), fs::read_to_string(err).unwrap())
    };
    let (out, err) = started("0.0.0.0");
    assert!(out.contains("open to   everybody who can reach this machine"), "{out}");
    assert!(out.contains("the keys are public"), "{out}");
    assert!(err.contains("WARN") && err.contains("everybody who can reach this machine"), "{err}");
    let (out, err) = started("127.0.0.1");
    assert!(!out.contains("open to"), "{out}");
    assert_eq!(err, "");
}

#[test]
fn one_folder_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Server::start(&data, &[]);
    let mut second = durastack();
    second.args(["start", "--port", "0", "--data"]).arg(&data);
    let refused = output(second);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        text.contains("is in use by process") && text.contains(&first.ready["pid"].to_string()),
        "{text}"
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::start(&folder.path().join("one"), &[]);
    let data = folder.path().join("two");
    let mut second = durastack();
    second.args(["start", "--port", &first.port().to_string(), "--data"]).arg(&data);
    let refused = output(second);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        text.contains(&format!("port {} is in use", first.port())) && text.contains("--port"),
        "{text}"
    );
    assert!(!data.exists(), "a refused start leaves a folder behind");
}

#[test]
fn a_folder_of_a_newer_durastack_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data, &[]);
    server.signal("TERM");
    server.ended();
    let format = data.join("format");
    let written = fs::read_to_string(&format).unwrap();
    let number: u32 = written.trim().parse().unwrap();
    fs::write(&format, format!("{}\n", number + 1)).unwrap();
    let mut newer = durastack();
    newer.args(["start", "--port", "0", "--data"]).arg(&data);
    let refused = output(newer);
    assert!(!refused.status.success());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("newer"), "{text}");
}

#[test]
fn an_ephemeral_folder_goes_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = durastack();
    command.args(["start", "--port", "0", "--ephemeral"]).current_dir(folder.path());
    let mut server = Server::run(command, &folder.path().join("ready"));
    let data = server.data();
    assert!(data.is_dir());
    server.signal("TERM");
    assert!(server.ended().success());
    assert!(!data.exists());
    assert!(!folder.path().join(".durastack").exists());
}

#[test]
fn flags_go_before_variables_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file =
        "data = \"from-file\"\nauth = \"off\"\n\n[[keys]]\nid = \"AKIDMORE\"\nsecret = \"s\"\n";
    fs::write(folder.path().join("durastack.toml"), file).unwrap();
    let start = |name: &str, variable: Option<&str>| {
        let mut command = durastack();
        command.args(["start", "--port", "0"]).current_dir(folder.path());
        if let Some(value) = variable {
            command.env("DURASTACK_DATA", value);
        }
        let server = Server::run(command, &folder.path().join(name));
        server.data().file_name().unwrap().to_owned()
    };
    assert_eq!(start("r1", None), "from-file");
    assert_eq!(start("r2", Some("from-variable")), "from-variable");
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.toml");
    fs::write(&file, "prot = 4566\n").unwrap();
    let mut command = durastack();
    command.args(["start", "--config"]).arg(&file).current_dir(folder.path());
    let refused = output(command);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(text.contains("other.toml") && text.contains("prot"), "{text}");
}

#[test]
fn a_foreign_host_and_a_foreign_page_are_refused_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--allow-host", "cloud.example"]);
    for path in ["/_durastack/health", "/_durastack/clock", "/2015-03-31/functions"] {
        assert_eq!(server.call("GET", path, "Host: rebound.example\r\n", "").0, 403, "{path}");
        assert_eq!(
            server.call("GET", path, "Origin: https://evil.example\r\n", "").0,
            403,
            "{path}"
        );
        assert_eq!(server.call("GET", path, "Sec-Fetch-Site: cross-site\r\n", "").0, 403, "{path}");
    }
    assert_eq!(server.call("GET", "/_durastack/health", "Host: cloud.example\r\n", "").0, 200);
}

#[test]
fn the_clock_is_shown_and_turned_and_keeps_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data, &[]);
    let clock = |server: &Server| -> Value {
        let (status, body) = server.call("GET", "/_durastack/clock", "", "");
        assert_eq!(status, 200);
        serde_json::from_str(&body).unwrap()
    };
    assert_eq!(clock(&server)["ahead"], "0s");
    let (status, body) = server.call("POST", "/_durastack/clock/advance", "", r#"{"by":"30d"}"#);
    assert_eq!(status, 200, "{body}");
    server.signal("TERM");
    server.ended();
    let server = Server::start(&data, &[]);
    let ahead = clock(&server)["ahead"].as_str().unwrap().to_owned();
    assert!(ahead.starts_with("29d23h59m59s") || ahead.starts_with("30d"), "{ahead}");
    for wrong in ["{}", r#"{"by":"soon"}"#, r#"{"by":"-1d"}"#, r#"{"by":"1000000d"}"#, "x"] {
        let (status, body) = server.call("POST", "/_durastack/clock/advance", "", wrong);
        assert_eq!(status, 400, "{wrong}: {body}");
    }
    assert_eq!(server.call("GET", "/_durastack/clock/advance", "", "").0, 405);
    assert_eq!(server.call("GET", "/_durastack/nothing", "", "").0, 404);
}
