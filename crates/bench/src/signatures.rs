//! What it costs to verify a signature, against the hashing that nobody can do without.

use crate::{
    client::{encode, hex},
    figures::{Latencies, Row, millis, short},
    plan::Plan,
    rpc::{VERSION, seconds},
};
use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use durastack_auth::{
    Keyring, Rules,
    aliyun::{self, Parameter, acs3, rpc},
    sigv4::{
        self,
        canonical::{Location, Parts, PathRule, Reading},
        derive, string_to_sign,
    },
};
use durastack_clock::{Clock, Stopwatch, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::{hint::black_box, time::Duration};
use tokio_util::task::TaskTracker;

const BODY_BYTES: usize = 1024;
const SERVICE: &str = "lambda";
const PATH: &str = "/2015-03-31/functions/order-flow/invocations";
/// How many verifications are timed together.
const TOGETHER: usize = 100;

/// A row for each scheme.
pub(crate) async fn verifications(plan: &Plan) -> Result<Vec<Row>> {
    let turns = plan.singles;
    TaskTracker::new().spawn_blocking(move || measure(turns)).await?
}

fn measure(turns: usize) -> Result<Vec<Row>> {
    let keys = Keyring::new([7; 32], Vec::new());
    let wall = Clock::system(Duration::ZERO).wall();
    Ok(vec![
        sigv4_row(turns, &keys, wall, Location::Header)?,
        sigv4_row(turns, &keys, wall, Location::Query)?,
        rpc_row(turns, &keys, wall)?,
        acs3_row(turns, &keys, wall)?,
    ])
}

fn sigv4_row(turns: usize, keys: &Keyring, wall: Timestamp, location: Location) -> Result<Row> {
    let body = json_body();
    let date = wall.iso_basic();
    let scope = format!("{}/us-east-1/{SERVICE}/aws4_request", &date[..8]);
    let in_header = location == Location::Header;
    let all_signed = "content-type;host;x-amz-date";
    let signed_headers = if in_header { all_signed } else { "host" };
    let mut headers = headers(&[("host", "localhost:4566"), ("content-type", "application/json")])?;
    let mut target = PATH.to_owned();
    if in_header {
        headers.insert("x-amz-date", HeaderValue::from_str(&date)?);
    } else {
        let credential = encode(&format!("test/{scope}"), b"");
        target = format!(
            "{PATH}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}\
             &X-Amz-Expires=300&X-Amz-SignedHeaders={signed_headers}"
        );
    }
    let payload = hex(&Sha256::digest(&body));
    let parts = Parts {
        method: "POST",
        location,
        target: &target,
        headers: &headers,
        signed_headers,
        payload: payload.as_bytes(),
    };
    let canonical = parts.canonical_request(PathRule::Generic, Reading::default());
    let string = string_to_sign(&canonical, &date, &scope);
    let key = derive("test", &date[..8], "us-east-1", SERVICE);
    let keyed = keyed::<Sha256Mac>(&key);
    let signature = hex(&signed(&keyed, string.as_bytes()));
    if in_header {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=test/{scope}, SignedHeaders={signed_headers}, Signature={signature}"
        );
        headers.insert("authorization", HeaderValue::from_str(&authorization)?);
    } else {
        target = format!("{target}&X-Amz-Signature={signature}");
    }
    let request =
        sigv4::Request { method: "POST", target: &target, headers: &headers, body: &body };
    let rules = Rules::of(SERVICE);
    sigv4::verify(&request, &rules, keys, wall).context("SigV4 does not hold")?;
    let verify = || sigv4::verify(&request, &rules, keys, wall).is_ok();
    let bare = || {
        let hashes = (Sha256::digest(&body), Sha256::digest(&canonical));
        black_box((hashes, signed(&keyed, string.as_bytes())));
    };
    let name = if in_header { "SigV4 in a header" } else { "SigV4 in the query" };
    Ok(row(name, "SHA-256 of body and canonical request, HMAC", turns, verify, bare))
}

fn rpc_row(turns: usize, keys: &Keyring, wall: Timestamp) -> Result<Row> {
    let (input, timestamp) = (String::from_utf8(json_body())?, seconds(wall));
    let mut parameters: Vec<_> = [
        ("AccessKeyId", "test"),
        ("Action", "StartExecution"),
        ("FlowName", "order-flow"),
        ("Format", "JSON"),
        ("Input", &input),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", "0190a3c4-7f3e-7000-8000-000000000001"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", &timestamp),
        ("Version", VERSION),
    ]
    .map(|(name, value)| Parameter { name, value, in_query: false })
    .into();
    let string = rpc::string_to_sign("POST", &parameters);
    let signature = STANDARD.encode(signed(&keyed::<Sha1Mac>(b"test&"), &string));
    let place = parameters.partition_point(|parameter| parameter.name < "Signature");
    parameters.insert(place, Parameter { name: "Signature", value: &signature, in_query: false });
    let form = "application/x-www-form-urlencoded";
    let headers = headers(&[("host", "localhost:4566"), ("content-type", form)])?;
    let request = aliyun::Request {
        method: "POST",
        path: "/",
        headers: &headers,
        body: &[],
        parameters: &parameters,
    };
    aliyun::verify(&request, keys, None, wall).context("the RPC signature does not hold")?;
    let verify = || aliyun::verify(&request, keys, None, wall).is_ok();
    let bare = || {
        black_box(signed(&keyed::<Sha1Mac>(b"test&"), &string));
    };
    let baseline = format!("HMAC-SHA1 of the {} bytes that are signed", string.len());
    Ok(row("Alibaba V1, no nonces", &baseline, turns, verify, bare))
}

fn acs3_row(turns: usize, keys: &Keyring, wall: Timestamp) -> Result<Row> {
    let (body, date) = (json_body(), seconds(wall));
    let payload = hex(&Sha256::digest(&body));
    let mut headers = headers(&[
        ("host", "localhost:4566"),
        ("content-type", "application/json"),
        ("x-acs-action", "StartExecution"),
        ("x-acs-content-sha256", &payload),
        ("x-acs-date", &date),
        ("x-acs-signature-nonce", "0190a3c4-7f3e-7000-8000-000000000001"),
        ("x-acs-version", VERSION),
    ])?;
    let signed_headers = "content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;\
                          x-acs-signature-nonce;x-acs-version";
    let parameters = [("FlowName", "order-flow"), ("RegionId", "cn-hangzhou")]
        .map(|(name, value)| Parameter { name, value, in_query: true });
    let unsigned_headers = headers.clone();
    let unsigned = aliyun::Request {
        method: "POST",
        path: "/",
        headers: &unsigned_headers,
        body: &body,
        parameters: &parameters,
    };
    let parts = acs3::Parts { request: &unsigned, signed_headers };
    let canonical = parts.canonical_request(payload.as_bytes());
    let string = acs3::string_to_sign(&canonical);
    let signature = hex(&signed(&keyed::<Sha256Mac>(b"test"), string.as_bytes()));
    let authorization = format!(
        "{} Credential=test,SignedHeaders={signed_headers},Signature={signature}",
        acs3::ALGORITHM
    );
    headers.insert("authorization", HeaderValue::from_str(&authorization)?);
    let request = aliyun::Request { headers: &headers, ..unsigned };
    aliyun::verify(&request, keys, None, wall).context("ACS3 does not hold")?;
    let verify = || aliyun::verify(&request, keys, None, wall).is_ok();
    let bare = || {
        let hashes = (Sha256::digest(&body), Sha256::digest(&canonical));
        black_box((hashes, signed(&keyed::<Sha256Mac>(b"test"), string.as_bytes())));
    };
    let baseline = "SHA-256 of body and canonical request, HMAC";
    Ok(row("Alibaba ACS3, no nonces", baseline, turns, verify, bare))
}

/// Times both in turns, so that whatever else the machine does strikes both, and takes the medians.
fn row(
    scheme: &str,
    baseline: &str,
    turns: usize,
    verify: impl Fn() -> bool,
    bare: impl Fn(),
) -> Row {
    let (mut ours, mut theirs) = (Latencies::default(), Latencies::default());
    for _ in 0..turns {
        let watch = Stopwatch::start();
        (0..TOGETHER).for_each(|_| bare());
        theirs.push(millis(watch) * 1e3 / TOGETHER as f64);
        let watch = Stopwatch::start();
        (0..TOGETHER).for_each(|_| {
            black_box(verify());
        });
        ours.push(millis(watch) * 1e3 / TOGETHER as f64);
    }
    Row {
        what: format!("verification of 1 KiB, {scheme}"),
        measured: format!("{} µs", short(ours.p50())),
        baseline: format!("{baseline}: {} µs", short(theirs.p50())),
        ratio: Some(ours.p50() / theirs.p50()),
        ..Row::default()
    }
}

type Sha256Mac = Hmac<Sha256>;
type Sha1Mac = Hmac<Sha1>;

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn signed<M: Mac + Clone>(keyed: &M, text: &[u8]) -> Vec<u8> {
    let mut mac = keyed.clone();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// A JSON object of as many bytes.
fn json_body() -> Vec<u8> {
    let (head, tail) = (br#"{"order":""#, br#""}"#);
    let filling = vec![b'x'; BODY_BYTES - head.len() - tail.len()];
    [&head[..], &filling, tail].concat()
}

fn headers(all: &[(&'static str, &str)]) -> Result<HeaderMap> {
    let header = |(name, value): &(&'static str, &str)| {
        Ok((HeaderName::from_static(name), HeaderValue::from_str(value)?))
    };
    all.iter().map(header).collect()
}
