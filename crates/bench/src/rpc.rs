//! Signed requests of Alibaba Cloud's RPC protocol, for the client that costs little.

use crate::client::encode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use durastack_auth::aliyun::{Parameter, rpc::string_to_sign};
use durastack_clock::{Clock, Entropy, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The API's version.
pub(crate) const VERSION: &str = "2019-03-15";

/// Makes requests with signatures of version 1.0, each with a nonce of its own, so that a strict server takes them.
pub(crate) struct Signer {
    keyed: Hmac<Sha1>,
    clock: Clock,
    /// No other signer has it.
    prefix: String,
    number: AtomicU64,
}

impl Signer {
    /// With the key that works out of the box.
    pub(crate) fn local() -> Self {
        Self {
            keyed: Hmac::new_from_slice(b"test&").expect("HMAC takes keys of every length"),
            clock: Clock::system(Duration::ZERO),
            prefix: Entropy::system().uuid(),
            number: AtomicU64::new(0),
        }
    }

    /// The whole request, to be sent as it is: a form. `own` are the operation's parameters.
    pub(crate) fn request(&self, action: &str, own: &[(&str, &str)]) -> Vec<u8> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let nonce = format!("{}-{number}", self.prefix);
        let timestamp = seconds(self.clock.wall());
        let mut all = vec![
            ("AccessKeyId", "test"),
            ("Action", action),
            ("Format", "JSON"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", &*nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &*timestamp),
            ("Version", VERSION),
        ];
        all.extend_from_slice(own);
        let body = form(&self.keyed, &mut all);
        let mut request = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n",
            body.len(),
        );
        request.push_str(&body);
        request.into_bytes()
    }
}

/// Sorts the parameters, signs them, and writes the form.
fn form(keyed: &Hmac<Sha1>, all: &mut [(&str, &str)]) -> String {
    all.sort_unstable();
    let parameters: Vec<_> =
        all.iter().map(|(name, value)| Parameter { name, value, in_query: false }).collect();
    let mut mac = keyed.clone();
    mac.update(&string_to_sign("POST", &parameters));
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let mut body = format!("Signature={}", encode(&signature, b""));
    for (name, value) in all {
        write!(body, "&{name}={}", encode(value, b"")).expect("writing to a String");
    }
    body
}

/// `2026-01-02T03:04:05Z`, the only form that the service takes.
pub(crate) fn seconds(at: Timestamp) -> String {
    let basic = at.iso_basic();
    let (day, time) = basic.split_at(8);
    let (hour, minute, second) = (&time[1..3], &time[3..5], &time[5..7]);
    format!("{}-{}-{}T{hour}:{minute}:{second}Z", &day[..4], &day[4..6], &day[6..])
}
