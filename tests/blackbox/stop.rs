//! How durastack ends.

use crate::process::Server;
use durastack_clock::Stopwatch;
use std::time::Duration;

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
