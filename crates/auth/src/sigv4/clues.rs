//! What may explain a signature that does not fit: the usual mistakes, each tried in turn. For the developer's log only.

use crate::{
    Clue,
    sigv4::{
        Attempt, EMPTY_SHA256,
        canonical::{Location, Parts, PathRule, Reading},
    },
};
use http::header;
use std::borrow::Cow;

/// The longest target for which mistakes are tried: each trial hashes the whole canonical request.
const TARGET_MAX: usize = 8 * 1024;

/// Tries the usual mistakes. `hash_header_fits` tells whether `x-amz-content-sha256`, if sent, is right.
pub(crate) fn find(parts: &Parts<'_>, attempt: &Attempt<'_>, hash_header_fits: bool) -> Vec<Clue> {
    let mut clues: Vec<_> =
        parts.absent_headers().map(|name| Clue::AbsentHeader(name.to_owned())).collect();
    if !hash_header_fits {
        clues.push(Clue::BodyDiffersFromHash);
    }
    if parts.target.len() > TARGET_MAX {
        return clues;
    }
    let fits = |parts: &Parts<'_>| attempt.fits(parts, PathRule::Generic, Reading::default());

    if attempt.fits(parts, PathRule::S3, Reading::default()) && !fits(parts) {
        clues.push(Clue::PathEncodedOnce);
    }
    let root = parts.target == "/" || parts.target.starts_with("/?");
    if !root && fits(&Parts { target: &slash_toggled(parts.target), ..*parts }) {
        clues.push(Clue::TrailingSlash);
    }
    if let Some(headers) = port_removed(parts)
        && fits(&Parts { headers: &headers, ..*parts })
    {
        clues.push(Clue::PortNotSigned);
    }
    if let Some(claimed) = parts.headers.get("x-amz-content-sha256")
        && !hash_header_fits
        && fits(&Parts { payload: claimed.as_bytes(), ..*parts })
    {
        clues.push(Clue::BodyChanged);
    }
    if parts.payload != EMPTY_SHA256 && fits(&Parts { payload: EMPTY_SHA256, ..*parts }) {
        clues.push(Clue::BodyNotSigned);
    }
    if parts.location == Location::Query {
        let others = ["GET", "POST", "PUT", "HEAD", "DELETE"];
        let fitting = others.into_iter().filter(|method| *method != parts.method);
        clues.extend(fitting.filter(|method| fits(&Parts { method, ..*parts })).map(Clue::Method));
    }
    clues
}

fn slash_toggled(target: &str) -> Cow<'_, str> {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    match path.strip_suffix('/') {
        Some(path) => format!("{path}{query}").into(),
        None => format!("{path}/{query}").into(),
    }
}

fn port_removed(parts: &Parts<'_>) -> Option<http::HeaderMap> {
    let host = parts.headers.get(header::HOST)?.to_str().ok()?;
    let (name, port) = host.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut headers = parts.headers.clone();
    headers.insert(header::HOST, name.parse().ok()?);
    Some(headers)
}
