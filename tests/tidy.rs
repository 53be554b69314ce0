//! Keeps the house as its plan says: arrows between crates, absences, headings, licences, lock files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here, helpers included")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata(more: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(more)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The crates that each of ours may use, besides libraries. What is not here may use no other.
const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("names", &[]),
    ("auth", &["clock", "names"]),
    ("engine", &["clock", "names"]),
    ("durable", &["clock", "engine", "names"]),
    ("flow", &["clock", "engine", "names"]),
    ("wire", &["clock", "names"]),
    ("store", &[]),
    ("edge", &["clock"]),
    ("runner", &["clock", "names"]),
    ("driver", &["clock", "engine", "names", "store"]),
    ("throttle", &["clock", "names"]),
    ("gate", &["auth", "clock", "names", "throttle", "wire"]),
    ("svc-sts", &["wire"]),
    ("svc-fnf", &["clock", "driver", "engine", "flow", "names", "runner", "store", "wire"]),
    ("svc-lambda", &["clock", "driver", "durable", "engine", "names", "runner", "store", "wire"]),
    ("testkit", &["store"]),
];

/// Crates that cannot fail for outside reasons: no sockets, files, tasks or system clock.
const PURE: &[&str] = &["names", "auth", "throttle", "engine", "durable", "flow", "wire"];

/// Libraries that only the named crates may use.
const KEPT_TO: &[(&str, &[&str])] = &[
    ("hyper", &["edge", "runner", "bench"]),
    ("rusqlite", &["store"]),
    ("rustix", &["runner", "store", "bench"]),
    ("jiff", &["clock"]),
    ("getrandom", &["clock"]),
    ("anyhow", &["durastack", "bench"]),
    ("clap", &["durastack", "bench"]),
    ("governor", &["throttle"]),
];

/// What a pure crate must not use.
const IMPURE: &[&str] =
    &["tokio", "tokio-util", "hyper", "rusqlite", "rustix", "tempfile", "getrandom"];

fn folder_of(package: &Value) -> String {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

/// Our crates by folder, each with the names of what it depends on outside tests.
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|d| d["kind"].is_null())
            .map(|d| d["name"].as_str().unwrap().to_owned())
            .collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|p| (folder_of(p), normal(p))).collect()
}

#[test]
fn the_plan_names_each_crate_once() {
    // Of two lines for one crate only the first would count.
    let names: BTreeSet<_> = ARROWS.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), ARROWS.len(), "the plan names a crate twice");
}

#[test]
fn arrows_point_down() {
    let free = ["durastack", "bench"]; // they wire, and measure, everything
    for (name, dependencies) in crates() {
        if free.contains(&&*name) {
            continue;
        }
        let allowed = ARROWS.iter().find(|(crate_name, _)| *crate_name == name);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("the plan does not know the crate '{name}'"));
        for dependency in dependencies.iter().filter_map(|d| d.strip_prefix("durastack-")) {
            assert!(allowed.contains(&dependency), "'{name}' must not use '{dependency}'");
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    let crates = crates();
    for name in PURE {
        for library in IMPURE {
            assert!(
                !crates[*name].contains(*library),
                "'{name}' is pure and must not use '{library}'"
            );
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for (name, dependencies) in crates() {
        for (library, owners) in KEPT_TO {
            let allowed = owners.contains(&&*name);
            assert!(
                allowed || !dependencies.contains(*library),
                "'{name}' must not use '{library}'"
            );
        }
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for path in
        files(&root().join("crates"), "rs").into_iter().chain(files(&root().join("tests"), "rs"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let documented = first.starts_with("//!") || first.starts_with("#!");
        assert!(documented, "{} does not begin with a sentence about itself", path.display());
    }
}

#[test]
fn licences_are_known() {
    let known = [
        "Apache-2.0",
        "MIT",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "Unlicense",
        "CC0-1.0",
        "0BSD",
        "MIT-0",
        "BSL-1.0",
        "Apache-2.0 WITH LLVM-exception",
    ];
    // What other platforms would add is not downloaded here, and cannot be looked at.
    let metadata = metadata(&["--filter-platform", &host()]);
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        // Of alternatives one must be known; of parts that all apply, each.
        let fine = licence.split(" OR ").any(|choice| {
            choice.split(" AND ").all(|part| known.contains(&part.trim().trim_matches(['(', ')'])))
        });
        assert!(fine, "the licence '{licence}' of {name} is not on the list");
    }
}

#[test]
fn lock_files_hold_no_download_addresses() {
    for path in files(&root(), "json") {
        if path.file_name().is_some_and(|name| name == "package-lock.json") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                !text.contains("\"resolved\""),
                "{} names where packages come from",
                path.display()
            );
        }
    }
}

/// The platform of this machine, in the compiler's words.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Files of our own with this ending, below a folder.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let skipped = ["target", "node_modules", ".git", ".venv", ".durastack"];
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !skipped.contains(&&*name) {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found
}
