//! When the code of a function was last changed: the folder is the user's own and is edited while durastack runs.

use durastack_clock::Timestamp;
use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long, in wall time, a look at a folder counts: longer than a burst of calls, shorter than an edit takes.
const LOOK_COUNTS: Duration = Duration::from_millis(250);

/// How many files and folders a look goes through; what lies beyond them is taken as unchanged.
const ENTRIES_MAX: usize = 10_000;

/// Written by interpreters as they run the code.
const CACHE: &str = "__pycache__";

/// The newest change in a folder, in nanoseconds since 1970, and how many files and folders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    newest_ns: i128,
    entries: usize,
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.newest_ns, self.entries)
    }
}

/// The folders that were looked at, and when.
#[derive(Debug, Default)]
pub(crate) struct Folders(Mutex<HashMap<PathBuf, (Timestamp, Stamp)>>);

impl Folders {
    /// The newest change in the folder. Reads the disk unless it did so just before: not for the async executor.
    ///
    /// A folder that cannot be read has a stamp as well; whoever runs the code says what is wrong.
    pub(crate) fn stamp(&self, folder: &Path, wall: Timestamp) -> Stamp {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(folder).copied();
        // A wall clock that was set back makes no old look count.
        if let Some((at, stamp)) = seen
            && wall >= at
            && wall.since(at) < LOOK_COUNTS
        {
            return stamp;
        }
        let stamp = look(folder);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(folder.to_owned(), (wall, stamp));
        stamp
    }
}

/// Folders count with their own times: what is removed or moved in changes them. Links are not followed, since they may
/// lead round in a circle.
fn look(folder: &Path) -> Stamp {
    let mut stamp = Stamp::default();
    let mut ahead = vec![folder.to_owned()];
    while let Some(path) = ahead.pop() {
        if stamp.entries == ENTRIES_MAX {
            break;
        }
        // What is gone by now is no part of the code.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        stamp.entries += 1;
        let ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        stamp.newest_ns = stamp.newest_ns.max(ns);
        if metadata.is_dir()
            && let Ok(within) = within(&path)
        {
            ahead.extend(within);
        }
    }
    stamp
}

/// In order, so that a look which ends early goes through the same ones each time.
fn within(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut within = Vec::new();
    for entry in fs::read_dir(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        if entry.file_name() != CACHE {
            within.push(entry.path());
        }
    }
    within.sort();
    Ok(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_but_those_of_interpreters_shows() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("a")).unwrap();
        let mut before = look(root);
        let mut changed = |what: &str, change: &dyn Fn() -> io::Result<()>| {
            change().unwrap();
            let after = look(root);
            assert_ne!(after, before, "{what}");
            before = after;
        };
        let (file, cache) = (root.join("a/index.py"), root.join("a").join(CACHE));
        changed("made", &|| fs::write(&file, "1"));
        let later = |ms| {
            let time = fs::metadata(&file)?.modified()? + Duration::from_millis(ms);
            fs::File::options().write(true).open(&file)?.set_modified(time)
        };
        changed("edited", &|| later(5000));
        changed("made a cache", &|| fs::create_dir(&cache).and_then(|()| later(1)));
        changed("removed", &|| fs::remove_file(&file));
        fs::write(cache.join("index.pyc"), "1").unwrap();
        assert_eq!(look(root), before);
        assert_eq!(look(&root.join("nowhere")), Stamp::default());
    }

    #[test]
    fn a_look_counts_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::default();
        let stamp = |ms| folders.stamp(folder.path(), Timestamp::from_millis(ms));
        let first = stamp(1000);
        fs::write(folder.path().join("index.py"), "1").unwrap();
        assert_eq!(stamp(1249), first);
        assert_ne!(stamp(1250), first);
        fs::write(folder.path().join("other.py"), "1").unwrap();
        assert_eq!(stamp(999).entries, 3);
    }
}
