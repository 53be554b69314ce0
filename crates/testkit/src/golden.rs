//! Golden pairs: a request and the response it must have, as two text files beside each other.
//!
//! A `.request` is a line with method and URI, then headers, a blank line, and the body. A `.response` is the status,
//! the headers sorted by name, a blank line, and the body. A newline at the end of a file is not part of the body.
//! With `GOLDEN_UPDATE` set in the environment the responses are written instead of compared; review what changed.

use bytes::Bytes;
use http::{Request, Response};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// The id that requests of golden pairs have.
pub const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000001";

/// A request and where its response is.
#[derive(Debug)]
pub struct Pair {
    path: PathBuf,
}

/// All pairs under the folder and its subfolders, sorted by path.
///
/// # Panics
///
/// When the folder cannot be read.
#[must_use]
pub fn pairs(folder: &Path) -> Vec<Pair> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of golden pairs") {
            let path = entry.expect("an entry of the folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "request") {
                found.push(Pair { path });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl Pair {
    /// The pair's name: the file's, without its ending.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.with_extension("").display().to_string()
    }

    /// The request.
    ///
    /// # Panics
    ///
    /// When the file is not one.
    #[must_use]
    pub fn request(&self) -> Request<Bytes> {
        let text = fs::read_to_string(&self.path).expect("a readable file");
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let mut lines = head.lines();
        let (method, uri) =
            lines.next().and_then(|l| l.split_once(' ')).expect("a line with method and URI");
        let mut request = Request::builder().method(method).uri(uri);
        for line in lines {
            let (name, value) = line.split_once(": ").expect("a header line");
            request = request.header(name, value);
        }
        let body = body.strip_suffix('\n').unwrap_or(body);
        request.body(Bytes::from(body.to_owned())).expect("a request")
    }

    /// Compares the response to the one that is expected.
    ///
    /// # Panics
    ///
    /// When they differ.
    pub fn check(&self, response: &Response<Bytes>) {
        let actual = render(response);
        let path = self.path.with_extension("response");
        if std::env::var_os("GOLDEN_UPDATE").is_some() {
            fs::write(&path, actual).expect("a writable folder");
            return;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            actual == expected,
            "{}\n--- expected\n{expected}\n--- actual\n{actual}",
            path.display()
        );
    }
}

fn render(response: &Response<Bytes>) -> String {
    let mut headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let mut text = String::new();
    writeln!(text, "{}\n{}", response.status().as_u16(), headers.concat())
        .expect("writing to a String");
    text.push_str(&String::from_utf8_lossy(response.body()));
    text.push('\n');
    text
}
