//! One function process with its process group: spawn, guard, end.
//!
//! Every process is started by a line of `sh` that first leaves a **guard** in the new process group, then becomes the
//! process. The guard waits on the lifeline, a socket that only durastack holds the other end of: when durastack dies,
//! however it dies, the guard kills the group. It works for any language, and also while user code blocks in native
//! code. The guard is nobody's child, so that a runtime that waits for its children does not meet it, and it ignores
//! the signals that a group gets as a warning. As long as it lives, the group's number cannot be given to another.
//!
//! The same socket takes the bootstraps' framed records: they get it as descriptor 3. Others get no descriptor.

use crate::groups::Groups;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream as StdStream, process::ExitStatusExt},
    },
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UnixStream, unix::pipe},
    process::Child,
};
use tokio_util::sync::CancellationToken;

/// Between SIGTERM and SIGKILL. Source: developer guide, Shutdown phase (500 ms with an internal extension).
pub(crate) const GRACE: Duration = Duration::from_millis(500);
/// How long a killed process may take to be collected before it is left to the system: it may hang in a system call.
const COLLECT_WAIT_MAX: Duration = Duration::from_secs(2);

const GUARD: &str = "exec 3<&0 0</dev/null
( (trap '' TERM HUP INT QUIT USR1 USR2 ALRM; read -r _ <&3; kill -KILL -$$) >/dev/null 2>&1 & )
";
const KEEP_SOCKET: &str = "exec \"$@\"";
const CLOSE_SOCKET: &str = "exec \"$@\" 3<&-";

/// What to start.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) directory: PathBuf,
    /// All of its variables.
    pub(crate) variables: BTreeMap<String, OsString>,
    /// Whether it gets the socket for frames as descriptor 3.
    pub(crate) takes_socket: bool,
}

/// A running process and its group. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    group: Pid,
    groups: Arc<Groups>,
    killed: bool,
}

/// Our ends of a process's output.
#[derive(Debug)]
pub(crate) struct Ends {
    /// stdout and stderr.
    pub(crate) plain: pipe::Receiver,
    /// Frames; also the lifeline: dropping it ends the group.
    pub(crate) frames: UnixStream,
}

impl Process {
    /// Starts a process in a group of its own and notes the group.
    pub(crate) async fn spawn(start: &Start, groups: &Arc<Groups>) -> io::Result<(Self, Ends)> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let (output, input) = io::pipe()?;
        let script = [GUARD, if start.takes_socket { KEEP_SOCKET } else { CLOSE_SOCKET }].concat();
        let child = tokio::process::Command::new("/bin/sh")
            .args(["-c", &script, "sh"])
            .arg(&start.program)
            .args(&start.arguments)
            .current_dir(&start.directory)
            .env_clear()
            .envs(&start.variables)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(input.try_clone()?)
            .stderr(input)
            .process_group(0)
            .spawn()?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .ok_or_else(|| io::Error::other("the process ended before it had a number"))?;
        let process = Self { child, group, groups: Arc::clone(groups), killed: false };
        groups.note(group).await?;
        let ends = Ends {
            plain: pipe::Receiver::from_owned_fd(output.into())?,
            frames: UnixStream::from_std(ours)?,
        };
        Ok((process, ends))
    }

    /// The process, for those who ask the system about it.
    pub(crate) fn id(&self) -> Pid {
        self.group
    }

    /// Waits until the process itself has ended; others of its group may live on. May be dropped and called again.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether the process itself still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the whole group, at once.
    pub(crate) fn kill(&mut self) {
        if !self.killed {
            // An error means that nobody is left.
            kill_process_group(self.group, Signal::KILL).ok();
            self.killed = true;
            self.groups.forget(self.group);
        }
    }

    /// Kills the group and collects the process.
    pub(crate) async fn kill_and_collect(&mut self) {
        self.kill();
        if tokio::time::timeout(COLLECT_WAIT_MAX, self.child.wait()).await.is_err() {
            tracing::warn!(process = %self.group, "a killed process does not go away");
        }
    }

    /// SIGTERM, then, after [`GRACE`], or as soon as `hurry` says so, SIGKILL for the group.
    pub(crate) async fn end(mut self, hurry: &CancellationToken) {
        if !self.killed {
            kill_process_group(self.group, Signal::TERM).ok();
            tokio::select! {
                _ = self.child.wait() => {}
                () = tokio::time::sleep(GRACE) => {}
                () = hurry.cancelled() => {}
            }
        }
        self.kill_and_collect().await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a process ended, in the words of Lambda: what follows `Error: ` in its message.
pub(crate) fn exit_words(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return match status.code() {
            Some(0) | None => "Runtime exited without providing a reason".to_owned(),
            Some(code) => format!("Runtime exited with error: exit status {code}"),
        };
    };
    // Go's words for signals: Lambda's own supervisor is written in it.
    let word = match Signal::from_named_raw(signal) {
        Some(Signal::HUP) => "hangup",
        Some(Signal::INT) => "interrupt",
        Some(Signal::QUIT) => "quit",
        Some(Signal::ILL) => "illegal instruction",
        Some(Signal::TRAP) => "trace/breakpoint trap",
        Some(Signal::ABORT) => "aborted",
        Some(Signal::BUS) => "bus error",
        Some(Signal::FPE) => "floating point exception",
        Some(Signal::KILL) => "killed",
        Some(Signal::USR1) => "user defined signal 1",
        Some(Signal::SEGV) => "segmentation fault",
        Some(Signal::USR2) => "user defined signal 2",
        Some(Signal::PIPE) => "broken pipe",
        Some(Signal::ALARM) => "alarm clock",
        Some(Signal::TERM) => "terminated",
        _ => return format!("Runtime exited with error: signal: signal {signal}"),
    };
    let core = if status.core_dumped() { " (core dumped)" } else { "" };
    format!("Runtime exited with error: signal: {word}{core}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    async fn sleeper(folder: &TempDir) -> (Process, Ends) {
        shell(folder, "trap '' TERM; while :; do sleep 1; done").await
    }

    async fn shell(folder: &TempDir, script: &str) -> (Process, Ends) {
        let groups = Arc::new(Groups::open(folder.path().join("groups")).await.unwrap());
        let start = Start {
            program: "/bin/sh".into(),
            arguments: ["-c", script].map(Into::into).into(),
            directory: folder.path().into(),
            variables: BTreeMap::from([("HOME".to_owned(), folder.path().as_os_str().to_owned())]),
            takes_socket: false,
        };
        Process::spawn(&start, &groups).await.unwrap()
    }

    #[tokio::test]
    async fn the_group_ends_when_the_lifeline_closes() {
        let folder = TempDir::new().unwrap();
        let (mut process, ends) = sleeper(&folder).await;
        assert!(process.is_running());
        drop(ends.frames);
        let status = tokio::time::timeout(Duration::from_secs(10), process.exited()).await;
        assert_eq!(
            exit_words(status.unwrap().unwrap()),
            "Runtime exited with error: signal: killed"
        );
    }

    #[tokio::test]
    async fn noted_groups_are_reaped_at_the_next_start() {
        let folder = TempDir::new().unwrap();
        let (mut process, _ends) = sleeper(&folder).await;
        Groups::open(folder.path().join("groups")).await.unwrap();
        let status = tokio::time::timeout(Duration::from_secs(10), process.exited()).await;
        assert_eq!(status.unwrap().unwrap().signal(), Some(9));
        assert_eq!(std::fs::read_dir(folder.path().join("groups")).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_group_without_its_leader_is_reaped_if_it_is_ours() {
        let folder = TempDir::new().unwrap();
        let (mut process, ends) = shell(&folder, "sleep 1000 & echo $!").await;
        process.exited().await.unwrap();
        let mut said = [0; 16];
        ends.plain.readable().await.unwrap();
        let length = ends.plain.try_read(&mut said).unwrap();
        let left: i32 = std::str::from_utf8(&said[..length]).unwrap().trim().parse().unwrap();
        let left = Pid::from_raw(left).unwrap();
        assert!(crate::groups::start_time(left).await.is_some());
        Groups::open(folder.path().join("groups")).await.unwrap();
        let gone = async {
            while crate::groups::start_time(left).await.is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    }

    #[tokio::test]
    async fn a_number_given_to_another_process_is_left_alone() {
        let folder = TempDir::new().unwrap();
        let (mut process, _ends) = sleeper(&folder).await;
        let note = folder.path().join("groups").join(process.id().as_raw_nonzero().to_string());
        std::fs::write(note, "1").unwrap();
        Groups::open(folder.path().join("groups")).await.unwrap();
        assert!(process.is_running());
    }

    #[tokio::test]
    async fn whoever_ignores_the_warning_is_killed() {
        let folder = TempDir::new().unwrap();
        let (process, _ends) = sleeper(&folder).await;
        let (groups, id) = (Arc::clone(&process.groups), process.id());
        tokio::time::timeout(Duration::from_secs(10), process.end(&CancellationToken::new()))
            .await
            .unwrap();
        assert_eq!(crate::groups::start_time(id).await, None);
        drop(groups);
    }

    #[test]
    fn exits_are_told_in_lambdas_words() {
        let check = |raw, words: &str| assert_eq!(exit_words(ExitStatus::from_raw(raw)), words);
        check(0, "Runtime exited without providing a reason");
        check(0x0300, "Runtime exited with error: exit status 3");
        check(9, "Runtime exited with error: signal: killed");
        check(11 | 0x80, "Runtime exited with error: signal: segmentation fault (core dumped)");
    }
}
