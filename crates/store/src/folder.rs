//! The data folder: who has it, and which format it has.
//!
//! Both are settled before the database is touched: even opening an SQLite file to ask for its version may write.

use crate::OpenError;
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// The newest format that is understood, and the one that is written. A format covers everything in the folder.
pub(crate) const FORMAT: u32 = 1;

/// A data folder that belongs to this process for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The system drops the lock with the last handle, so a killed process leaves none behind.
    _lock: File,
}

impl Folder {
    /// Takes the folder, making it if it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        // Before the lock, because taking it writes to the folder; and again below it, because of what may happen
        // in between.
        check_format(path)?;
        let made = make(path)?;
        let lock = lock(path)?;
        if !check_format(path)? {
            write_format(path)?;
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.sync()?;
        if made {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_folder(parent.unwrap_or_else(|| Path::new(".")))?;
        }
        Ok(folder)
    }

    /// Where the folder is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database file in it.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("store.db")
    }

    /// Makes the names of the files in it durable.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        sync_folder(&self.path)
    }
}

fn file_error(
    doing: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.into();
    move |source| OpenError::File { doing, path, source }
}

/// Whether the folder had to be made. It holds secrets, so only the user may look into it.
fn make(path: &Path) -> Result<bool, OpenError> {
    if path.is_dir() {
        return Ok(false);
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(file_error("create the data folder", path))?;
    Ok(true)
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(file_error("open", &path))?;
    for attempt in 0.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
                let owner_is_gone = pid.is_some_and(|pid| !is_running(pid));
                if !owner_is_gone || attempt == LOCK_ATTEMPTS {
                    return Err(OpenError::Locked { folder: folder.to_owned(), pid });
                }
                std::thread::park_timeout(LOCK_REST);
            }
            Err(TryLockError::Error(source)) => return Err(file_error("lock", &path)(source)),
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(file_error("write", &path))?;
    Ok(file)
}

/// A process that was just being started when its parent was killed holds the parent's lock until it is its own program:
/// for that moment the lock is worth waiting for, though nobody is there who could give it back.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_REST: Duration = Duration::from_millis(20);

fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Whether the folder says its format. One that has a database and does not say is not ours.
fn check_format(folder: &Path) -> Result<bool, OpenError> {
    let path = folder.join("format");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if folder.join("store.db").exists() {
                return Err(OpenError::Unusable {
                    folder: folder.to_owned(),
                    problem: "there is a database in it, but no file that says its format"
                        .to_owned(),
                });
            }
            return Ok(false);
        }
        Err(error) => return Err(file_error("read", path)(error)),
    };
    match text.trim().parse() {
        Ok(found) if found > FORMAT => {
            Err(OpenError::Newer { folder: folder.to_owned(), found, known: FORMAT })
        }
        Ok(1..) => Ok(true),
        Ok(0) | Err(_) => Err(OpenError::Unusable {
            folder: folder.to_owned(),
            problem: format!("its format is '{}', which is no number of one", text.trim()),
        }),
    }
}

/// Written beside and renamed, so that a crash leaves no half of it.
fn write_format(folder: &Path) -> Result<(), OpenError> {
    let (new, path) = (folder.join("format.new"), folder.join("format"));
    let mut file = File::create(&new).map_err(file_error("create", &new))?;
    writeln!(file, "{FORMAT}").and_then(|()| file.sync_all()).map_err(file_error("write", &new))?;
    fs::rename(&new, &path).map_err(file_error("rename", &new))
}

fn sync_folder(path: &Path) -> Result<(), OpenError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(file_error("sync", path))
}
