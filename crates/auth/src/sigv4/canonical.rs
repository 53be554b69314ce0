//! The canonical request: the one text that signer and verifier both make of a request.
//!
//! Made from the wire form, before anything decodes or rewrites it. Where signers in use disagree about a text, a
//! [`Reading`] says which of them is followed; the verifier tries all that differ.

use crate::sigv4::encoding::{Bare, for_each_decoded, push_encoded};
use http::HeaderMap;
use std::ops::Range;

/// How a service wants the path written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRule {
    /// Empty, `.` and `..` segments removed, then every byte of the wire form encoded, a `%` becoming `%25`. All
    /// services but S3.
    Generic,
    /// As generic, but nothing removed: signers with normalisation switched off.
    Unnormalized,
    /// Decoded and encoded once, nothing removed, since any segment may belong to an object's key. S3.
    S3,
}

/// Which of several defensible readings of a request to take. The default is what botocore or aws-sigv4 writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// What a bare `+` in the query stands for.
    pub plus: Plus,
    /// What a tab within a header's value is.
    pub tab: Tab,
    /// What is left of a path that ends in `/.` or `/..`.
    pub dots: Dots,
}

/// A bare `+` in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plus {
    /// A space, as aws-sigv4 and MinIO read it.
    #[default]
    Space,
    /// Itself, as the AWS common runtime reads it.
    Plus,
}

/// A tab within a header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tab {
    /// Stays, as in aws-sigv4.
    #[default]
    Kept,
    /// Counts as a space, as in botocore and the AWS common runtime.
    Space,
}

/// A path that ends in `/.` or `/..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dots {
    /// Leaves a trailing slash, as RFC 3986 has it.
    #[default]
    Slash,
    /// Leaves none.
    Nothing,
}

/// Where the signature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// In the `Authorization` header.
    Header,
    /// In the query, of which `X-Amz-Signature` then takes no part.
    Query,
}

/// What a canonical request is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// As sent.
    pub method: &'a str,
    /// Where the signature was found.
    pub location: Location,
    /// Path and query as sent.
    pub target: &'a str,
    /// All headers as sent.
    pub headers: &'a HeaderMap,
    /// The names that were signed, joined by semicolons, as the signer lists them.
    pub signed_headers: &'a str,
    /// The last line: the hash of the payload in hexadecimal, or one of S3's words.
    pub payload: &'a [u8],
}

impl Parts<'_> {
    /// Writes the canonical request under `rule` and `reading`. Bytes, since headers need not be UTF-8.
    ///
    /// A name in `signed_headers` that the request lacks has an empty line; whether that may count is the verifier's
    /// business.
    #[must_use]
    pub fn canonical_request(&self, rule: PathRule, reading: Reading) -> Vec<u8> {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let mut out = Vec::with_capacity(256 + 2 * self.target.len() + self.signed_headers.len());
        out.extend_from_slice(self.method.as_bytes());
        out.push(b'\n');
        push_path(&mut out, path, rule, reading.dots);
        out.push(b'\n');
        push_query(&mut out, query, reading.plus, self.location);
        out.push(b'\n');
        self.push_headers(&mut out, reading.tab);
        out.push(b'\n');
        out.extend_from_slice(self.signed_headers.as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.payload);
        out
    }

    /// The readings under which this request has different canonical forms, the default first.
    pub fn readings(&self) -> impl Iterator<Item = Reading> {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let tabs = self.signed_headers.split(';').any(|name| {
            self.headers.get_all(name).iter().any(|value| value.as_bytes().contains(&b'\t'))
        });
        let pluses: &[Plus] =
            if query.contains('+') { &[Plus::Space, Plus::Plus] } else { &[Plus::Space] };
        let tabs: &[Tab] = if tabs { &[Tab::Kept, Tab::Space] } else { &[Tab::Kept] };
        let dots: &[Dots] = if path.ends_with("/.") || path.ends_with("/..") {
            &[Dots::Slash, Dots::Nothing]
        } else {
            &[Dots::Slash]
        };
        pluses.iter().flat_map(move |&plus| {
            tabs.iter()
                .flat_map(move |&tab| dots.iter().map(move |&dots| Reading { plus, tab, dots }))
        })
    }

    /// The signed names that no header of the request has.
    pub fn absent_headers(&self) -> impl Iterator<Item = &str> {
        self.signed_headers.split(';').filter(|name| !self.headers.contains_key(*name))
    }

    fn push_headers(&self, out: &mut Vec<u8>, tab: Tab) {
        let names = self.signed_headers.split(';');
        // Strictly rising already, as every known signer sends them: no list is needed.
        if names.clone().is_sorted_by(|a, b| a < b) {
            names.for_each(|name| self.push_header(out, name, tab));
            return;
        }
        // Sorted by name, not by line: `x-a-b:` would come before `x-a:`. A repeated name counts once, or a short list
        // could name one long value a thousand times.
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| self.push_header(out, name, tab));
    }

    fn push_header(&self, out: &mut Vec<u8>, name: &str, tab: Tab) {
        out.extend(name.bytes().map(|b| b.to_ascii_lowercase()));
        out.push(b':');
        for (n, value) in self.headers.get_all(name).iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            push_value(out, value.as_bytes(), tab);
        }
        out.push(b'\n');
    }
}

/// Writes a header's value: trimmed, runs of spaces (and the line breaks of a folded value) made one space.
pub(crate) fn push_value(out: &mut Vec<u8>, value: &[u8], tab: Tab) {
    let blank = |b: u8| matches!(b, b' ' | b'\r' | b'\n') || (b == b'\t' && tab == Tab::Space);
    let mut gap = false;
    for &byte in value.trim_ascii() {
        if blank(byte) {
            gap = true;
        } else {
            if std::mem::take(&mut gap) {
                out.push(b' ');
            }
            out.push(byte);
        }
    }
}

fn push_path(out: &mut Vec<u8>, path: &str, rule: PathRule, dots: Dots) {
    if !path.starts_with('/') {
        out.push(b'/');
    }
    match rule {
        PathRule::S3 => for_each_decoded(path.as_bytes(), |byte, _| push_path_byte(out, byte)),
        PathRule::Generic if path.contains("//") || path.contains("/.") => {
            push_normalized(out, path, dots);
        }
        PathRule::Generic | PathRule::Unnormalized => {
            path.bytes().for_each(|byte| push_path_byte(out, byte));
        }
    }
}

fn push_path_byte(out: &mut Vec<u8>, byte: u8) {
    if byte == b'/' {
        out.push(byte);
    } else {
        push_encoded(out, byte);
    }
}

fn push_normalized(out: &mut Vec<u8>, path: &str, dots: Dots) {
    let mut kept: Vec<&str> = Vec::new();
    let mut last = "";
    for segment in path.split('/') {
        last = segment;
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let slash = match last {
        "" => true,
        "." | ".." => dots == Dots::Slash,
        _ => false,
    };
    if path.starts_with('/') {
        out.push(b'/');
    }
    for (n, segment) in kept.iter().enumerate() {
        if n > 0 {
            out.push(b'/');
        }
        segment.bytes().for_each(|byte| push_path_byte(out, byte));
    }
    if slash && !kept.is_empty() {
        out.push(b'/');
    }
}

fn push_query(out: &mut Vec<u8>, query: &str, plus: Plus, location: Location) {
    if query.is_empty() {
        return;
    }
    let mut encoded = Vec::with_capacity(query.len() + query.len() / 2);
    let mut pairs: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = push_parameter(&mut encoded, name, plus);
        let value = push_parameter(&mut encoded, value, plus);
        if location == Location::Header || &encoded[name.clone()] != b"X-Amz-Signature" {
            pairs.push((name, value));
        }
    }
    // By name, then by value: sorting the joined texts would put `a-=` before `a=`.
    let text = |range: &Range<usize>| &encoded[range.clone()];
    pairs.sort_unstable_by(|a, b| (text(&a.0), text(&a.1)).cmp(&(text(&b.0), text(&b.1))));
    for (n, (name, value)) in pairs.iter().enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(text(name));
        out.push(b'=');
        out.extend_from_slice(text(value));
    }
}

/// Writes one name or value, decoded and encoded again, and says where it is.
fn push_parameter(encoded: &mut Vec<u8>, text: &str, plus: Plus) -> Range<usize> {
    let start = encoded.len();
    for_each_decoded(text.as_bytes(), |byte, bare| {
        let space = byte == b'+' && bare == Bare::Yes && plus == Plus::Space;
        push_encoded(encoded, if space { b' ' } else { byte });
    });
    start..encoded.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str, rule: PathRule, dots: Dots) -> String {
        let mut out = Vec::new();
        push_path(&mut out, path, rule, dots);
        String::from_utf8(out).unwrap()
    }

    fn query(query: &str, plus: Plus) -> String {
        let mut out = Vec::new();
        push_query(&mut out, query, plus, Location::Query);
        String::from_utf8(out).unwrap()
    }

    fn value(text: &str, tab: Tab) -> String {
        let mut out = Vec::new();
        push_value(&mut out, text.as_bytes(), tab);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_are_normalized_and_encoded_again() {
        let check = |wire: &str, expected: &str| {
            assert_eq!(path(wire, PathRule::Generic, Dots::Slash), expected, "{wire}");
        };
        check("", "/");
        check("*", "/%2A");
        check("/", "/");
        check("/a%3Ab", "/a%253Ab");
        check("/functions/", "/functions/");
        check("/functions", "/functions");
        check("//a///b//", "/a/b/");
        check("/a/./b/../c", "/a/c");
        check("/../../a", "/a");
        check("/a/b/..", "/a/");
        check("/a/b/.", "/a/b/");
        check("/..", "/");
        check("/.well-known", "/.well-known");
        check("/a+b*", "/a%2Bb%2A");
        check("/é", "/%C3%A9");
        assert_eq!(path("/a/b/..", PathRule::Generic, Dots::Nothing), "/a");
        assert_eq!(path("/a//./b", PathRule::Unnormalized, Dots::Slash), "/a//./b");
        assert_eq!(path("/a//../%7e%3a(%zz", PathRule::S3, Dots::Slash), "/a//../~%3A%28%25zz");
    }

    #[test]
    fn queries_are_decoded_encoded_and_sorted_by_name_then_value() {
        let check = |wire: &str, expected: &str| assert_eq!(query(wire, Plus::Space), expected);
        check("", "");
        check("&&", "");
        check("b&a=2&a=1", "a=1&a=2&b=");
        check("a-=1&a=2", "a=2&a-=1");
        check("k=%7e%2f:/", "k=~%2F%3A%2F");
        check("a=b=c&=d", "=d&a=b%3Dc");
        check("q=a+b%2B", "q=a%20b%2B");
        check("X-Amz-Signature=1&x-amz-signature=2&%58-Amz-Signature=3", "x-amz-signature=2");
        assert_eq!(query("q=a+b%2B", Plus::Plus), "q=a%2Bb%2B");
    }

    #[test]
    fn values_are_trimmed_and_runs_of_spaces_collapse_also_in_quotes() {
        assert_eq!(value("  a   b  ", Tab::Kept), "a b");
        assert_eq!(value("\"a   b\"", Tab::Kept), "\"a b\"");
        assert_eq!(value("a \t b", Tab::Kept), "a \t b");
        assert_eq!(value("a \t b", Tab::Space), "a b");
        assert_eq!(value("a\r\n  b\n c", Tab::Kept), "a b c");
        assert_eq!(value("   ", Tab::Kept), "");
    }

    #[test]
    fn a_name_repeated_a_thousand_times_is_written_once() {
        let mut headers = HeaderMap::new();
        headers.insert("x-long", "v".repeat(10_000).parse().unwrap());
        let signed_headers = ["x-long"; 1000].join(";");
        let parts = Parts {
            method: "GET",
            location: Location::Header,
            target: "/",
            headers: &headers,
            signed_headers: &signed_headers,
            payload: b"-",
        };
        let text = parts.canonical_request(PathRule::Generic, Reading::default());
        assert!(text.len() < 30_000, "{}", text.len());
    }
}
