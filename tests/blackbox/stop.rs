//! How durastack ends.

use crate::process::{Server, wait_for};
use durastack_clock::Stopwatch;
use std::{io::Write, time::Duration};

#[test]
fn ctrl_c_and_sigterm_end_it_cleanly_and_soon() {
    for signal in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start(&folder.path().join("data"), &[]);
        let watch = Stopwatch::start();
        server.signal(signal);
        assert!(server.ended().success(), "SIG{signal}");
        // The promise is two seconds; the rest is for a machine that has other things to do.
        assert!(watch.elapsed() < Duration::from_secs(6), "SIG{signal} took {:?}", watch.elapsed());
    }
}

#[test]
fn what_was_stored_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data, &[]);
    assert_eq!(server.call("POST", "/_durastack/clock/advance", "", r#"{"by":"1h"}"#).0, 200);
    server.signal("KILL");
    assert!(!server.ended().success());
    let server = Server::start(&data, &[]);
    let (_, body) = server.call("GET", "/_durastack/clock", "", "");
    assert!(body.contains("59m59s") || body.contains("\"1h"), "{body}");
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"), &[]);
    // A request that never becomes whole: the first Ctrl-C gives it some time.
    let mut half = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    half.write_all(
        b"POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    )
    .unwrap();
    assert_eq!(server.call("GET", "/_durastack/health", "", "").0, 200);
    server.signal("INT");
    // Two signals that come too close together are one to the process.
    let ended = wait_for("the second Ctrl-C to count", || {
        server.signal("INT");
        server.has_ended()
    });
    assert_eq!(ended.code(), Some(130));
}
