//! Process groups noted on disk, so that a durastack that comes after a crash can end what is left of them.
//!
//! The guard in every group (see [`crate::process`]) should have done so already; this is the second line, for a
//! guard that user code killed.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long to wait, at start, for killed processes to be gone.
const GONE_WAIT_MAX: Duration = Duration::from_millis(500);

/// The notes: one file per group, named by its id, holding when its leader started.
#[derive(Debug)]
pub(crate) struct Groups {
    folder: PathBuf,
}

impl Groups {
    /// Opens the folder and kills every group noted in it that is still the one that was noted.
    pub(crate) async fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if let Some(group) = path.file_name().and_then(|n| n.to_str()?.parse().ok()) {
                let noted = fs::read_to_string(&path).unwrap_or_default();
                reap(group, noted.trim(), &folder).await;
            }
            fs::remove_file(&path).ok();
        }
        Ok(Self { folder })
    }

    /// Notes the group that `leader` leads.
    pub(crate) async fn note(&self, leader: Pid) -> io::Result<()> {
        let started = start_time(leader).await.unwrap_or_default();
        fs::write(self.path(leader), started)
    }

    /// The group has ended.
    pub(crate) fn forget(&self, leader: Pid) {
        // Nothing is lost if the note stays: the start time in it will match nobody.
        fs::remove_file(self.path(leader)).ok();
    }

    fn path(&self, leader: Pid) -> PathBuf {
        self.folder.join(leader.as_raw_nonzero().to_string())
    }
}

async fn reap(group: i32, noted: &str, folder: &Path) {
    let Some(leader) = Pid::from_raw(group).filter(|_| group > 1 && !noted.is_empty()) else {
        return;
    };
    let ours = match start_time(leader).await {
        Some(started) => started == noted,
        // The leader is gone. Members keep the number from being given away, but only if they are ours.
        None => members_ours(group, folder),
    };
    if !ours {
        return;
    }
    tracing::warn!(group, "ending processes that an earlier durastack left");
    kill_process_group(leader, Signal::KILL).ok();
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    while waited < GONE_WAIT_MAX && start_time(leader).await.as_deref() == Some(noted) {
        tokio::time::sleep(step).await;
        waited += step;
    }
}

/// When a process started, in the system's own terms; none if it is gone or only waits to be collected.
#[cfg(target_os = "linux")]
#[expect(clippy::unused_async, reason = "the other system has to ask a program")]
pub(crate) async fn start_time(pid: Pid) -> Option<String> {
    let fields = stat(pid.as_raw_nonzero().get())?;
    // Fields 3 (state) and 22 (start time) of proc(5), counted from behind the name.
    let ticks = fields.get(19).filter(|_| fields[0] != "Z")?;
    // Ticks count from the start of the system, so that start belongs to them.
    let system = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{} {ticks}", system.trim()))
}

/// When a process started, in the system's own terms; none if it is gone or only waits to be collected.
#[cfg(not(target_os = "linux"))]
pub(crate) async fn start_time(pid: Pid) -> Option<String> {
    let output = tokio::process::Command::new("/bin/ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.as_raw_nonzero().to_string()])
        .env("LC_ALL", "C")
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, started) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

#[cfg(target_os = "linux")]
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Whether a group without its leader has a member that got this folder in its variables.
#[cfg(target_os = "linux")]
fn members_ours(group: i32, folder: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let mark = folder.parent().unwrap_or(folder).as_os_str().as_bytes();
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes
        .filter_map(|p| p.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| stat(*pid).is_some_and(|f| f.get(2) == Some(&group.to_string())))
        .filter_map(|pid| fs::read(format!("/proc/{pid}/environ")).ok())
        .any(|variables| variables.windows(mark.len()).any(|w| w == mark))
}

/// Other systems do not show variables of processes: nothing is killed on a guess.
#[cfg(not(target_os = "linux"))]
fn members_ours(_group: i32, _folder: &Path) -> bool {
    false
}
