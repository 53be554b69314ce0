//! A client that costs little: one connection, requests as bytes, answers read by their length. Both sides of every
//! comparison are asked by it.

use anyhow::{Context, Result, bail};
use durastack_auth::sigv4::{derive, string_to_sign};
use durastack_clock::Clock;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::{fmt::Write, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The region that everything happens in.
pub(crate) const REGION: &str = "us-east-1";

/// One connection, kept open.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value; `name` in lower case, as both servers write it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The answer, if it has this status.
    pub(crate) fn expect(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        bail!("status {} instead of {status}: {}", self.status, String::from_utf8_lossy(&self.body))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("the answer is no JSON")
    }
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("failed to connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.receive().await?;
        };
        let head = std::str::from_utf8(&self.buffer[..head_end])?.to_owned();
        let status = head.get(9..12).and_then(|text| text.parse().ok()).context("no status")?;
        let mut answer = Answer { status, head, body: Vec::new() };
        let length: usize =
            answer.header("content-length").map_or(Ok(0), str::parse).context("no length")?;
        while self.buffer.len() < head_end + length {
            self.receive().await?;
        }
        answer.body = self.buffer[head_end..head_end + length].to_vec();
        self.buffer.drain(..head_end + length);
        Ok(answer)
    }

    async fn receive(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

/// Makes signed requests.
#[derive(Clone)]
pub(crate) struct Signer {
    access_key_id: String,
    secret: String,
    token: Option<String>,
    day: String,
    key: [u8; 32],
    clock: Clock,
}

/// The parts of a request that differ from one to the next.
#[derive(Default, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    /// Path and query, encoded; the query's members in order.
    pub(crate) target: &'a str,
    /// In lower case.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

impl Signer {
    pub(crate) fn new(access_key_id: &str, secret: &str, token: Option<String>) -> Self {
        let clock = Clock::system(std::time::Duration::ZERO);
        let day = clock.wall().iso_basic()[..8].to_owned();
        let key = derive(secret, &day, REGION, "lambda");
        let (access_key_id, secret) = (access_key_id.to_owned(), secret.to_owned());
        Self { access_key_id, secret, token, day, key, clock }
    }

    /// The key that works out of the box.
    pub(crate) fn local() -> Self {
        Self::new("test", "test", None)
    }

    /// The whole request, to be sent as it is.
    pub(crate) fn request(&self, ask: Ask<'_>) -> Vec<u8> {
        let date = self.clock.wall().iso_basic();
        let day = &date[..8];
        let key =
            if day == self.day { self.key } else { derive(&self.secret, day, REGION, "lambda") };
        let mut headers = vec![("host", "localhost"), ("x-amz-date", &*date)];
        headers.extend(self.token.as_deref().map(|token| ("x-amz-security-token", token)));
        headers.extend_from_slice(ask.headers);
        headers.sort_unstable();
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let (path, query) = ask.target.split_once('?').unwrap_or((ask.target, ""));
        let mut canonical = format!("{}\n{}\n{query}\n", ask.method, encode(path, b"/"));
        let mut head = format!("{} {} HTTP/1.1\r\n", ask.method, ask.target);
        for (name, value) in &headers {
            writeln!(canonical, "{name}:{value}").expect("writing to a String");
            write!(head, "{name}: {value}\r\n").expect("writing to a String");
        }
        let hash = Sha256::digest(ask.body);
        write!(canonical, "\n{names}\n{}", hex(&hash)).expect("writing to a String");
        let scope = format!("{day}/{REGION}/lambda/aws4_request");
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of every length");
        mac.update(string_to_sign(canonical.as_bytes(), &date, &scope).as_bytes());
        let signature = hex(&mac.finalize().into_bytes());
        write!(
            head,
            "content-length: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential={}/{scope}, \
             SignedHeaders={names}, Signature={signature}\r\n\r\n",
            ask.body.len(),
            self.access_key_id,
        )
        .expect("writing to a String");
        [head.as_bytes(), ask.body].concat()
    }
}

/// Two digits per byte, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    let pair = |byte: &u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
    bytes.iter().flat_map(pair).map(char::from).collect()
}

/// Percent-encodes all but unreserved characters and those in `kept`.
pub(crate) fn encode(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String");
        }
    }
    out
}
