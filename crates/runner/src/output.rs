//! What a process writes: its pipe of raw output, and its socket of framed records, made into log lines.
//!
//! Both are drained always, whoever listens, in bounded memory. Ordering is by arrival.

use crate::{function::LineKind, tap::Tap};
use std::{io, os::fd::AsFd, sync::Arc};
use tokio::{
    net::{UnixStream, unix::pipe},
    sync::{mpsc, oneshot},
};

/// A line longer than this is split. Source: CloudWatch Logs, largest event (256 KB for most of its life).
const LINE_BYTES_MAX: usize = 256 * 1024;
/// Bytes taken at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// What one flush takes from each source at most: more than a pipe and a socket buffer hold, so everything written
/// before the flush is in it, and a process that never stops printing cannot hold it up.
const FLUSH_BYTES_MAX: usize = 1024 * 1024;
/// Frame type of the bootstraps for plain bytes of stdout and stderr, `DS` 1. They take this way so that prints and
/// records stay in order.
const FRAME_PLAIN: u32 = 0x4453_0001;
/// Frame types of Lambda's telemetry pipe: these high 16 bits, and bit 1 set.
const FRAME_RECORD: u32 = 0xA55A_0002;
const FRAME_RECORD_MASK: u32 = 0xFFFF_0002;
/// Type, length, time in microseconds: big-endian.
const FRAME_HEADER_BYTES: usize = 16;

/// Asks the reading task to hand on everything written so far.
#[derive(Debug, Clone)]
pub(crate) struct Output(mpsc::Sender<oneshot::Sender<()>>);

impl Output {
    /// Starts reading; the returned future ends when the last `Output` is dropped.
    pub(crate) fn read(
        plain: pipe::Receiver,
        frames: UnixStream,
        tap: Arc<Tap>,
    ) -> (Self, impl Future<Output = ()>) {
        let (ask, asked) = mpsc::channel(4);
        (Self(ask), drain(plain, frames, tap, asked))
    }

    /// Returns once all that the process has written before this call has become lines.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.0.send(done).await.is_ok() {
            // An error means that the reading task is gone, with everything handed on.
            wait.await.ok();
        }
    }
}

async fn drain(
    plain: pipe::Receiver,
    frames: UnixStream,
    tap: Arc<Tap>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut lines, mut records) = (Lines::default(), Frames::default());
    let (mut plain_open, mut frames_open) = (true, true);
    loop {
        tokio::select! {
            biased;
            ask = asked.recv() => {
                let mut left = FLUSH_BYTES_MAX;
                while frames_open && left > 0 {
                    let push = |b: &[u8]| records.push(b, &tap);
                    if !take(|b| read_now(&frames, b), &mut chunk, &mut frames_open, push) {
                        break;
                    }
                    left = left.saturating_sub(CHUNK_BYTES);
                }
                let mut left = FLUSH_BYTES_MAX;
                while plain_open && left > 0 {
                    let push = |b: &[u8]| lines.push(b, &tap);
                    if !take(|b| read_now(&plain, b), &mut chunk, &mut plain_open, push) {
                        break;
                    }
                    left = left.saturating_sub(CHUNK_BYTES);
                }
                records.plain.finish(&tap);
                lines.finish(&tap);
                match ask {
                    // Whoever asked may have gone.
                    Some(done) => done.send(()).unwrap_or(()),
                    None => return,
                }
            }
            ready = frames.readable(), if frames_open => {
                frames_open = ready.is_ok();
                let push = |b: &[u8]| records.push(b, &tap);
                take(|b| frames.try_read(b), &mut chunk, &mut frames_open, push);
            }
            ready = plain.readable(), if plain_open => {
                plain_open = ready.is_ok();
                let push = |b: &[u8]| lines.push(b, &tap);
                take(|b| plain.try_read(b), &mut chunk, &mut plain_open, push);
            }
        }
    }
}

/// Asks the system itself: tokio would say that there is nothing until its reactor has heard of it.
fn read_now(from: impl AsFd, chunk: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::read(from, chunk)?)
}

/// Reads once. Whether there was something.
fn take(
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    chunk: &mut [u8],
    open: &mut bool,
    push: impl FnOnce(&[u8]),
) -> bool {
    match read(chunk) {
        Ok(0) => *open = false,
        Ok(count) => {
            push(&chunk[..count]);
            return true;
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => {
            tracing::debug!(%error, "a function's output ended");
            *open = false;
        }
    }
    false
}

/// Bytes into lines: split at `\n` only, everything else stays as it is.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8], tap: &Tap) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) if self.0.is_empty() => tap.line(LineKind::Application, end),
                Some(end) => {
                    self.0.extend_from_slice(end);
                    tap.line(LineKind::Application, &self.0);
                    self.0.clear();
                }
                None => self.0.extend_from_slice(piece),
            }
            if self.0.len() >= LINE_BYTES_MAX {
                self.finish(tap);
            }
        }
    }

    /// Hands on a line that has no end yet.
    fn finish(&mut self, tap: &Tap) {
        for piece in self.0.chunks(LINE_BYTES_MAX) {
            tap.line(LineKind::Application, piece);
        }
        self.0.clear();
        self.0.shrink_to(CHUNK_BYTES);
    }
}

/// Frames into lines: a record is one line, whatever newlines it holds.
#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    record: Vec<u8>,
    frame: Option<Frame>,
    plain: Lines,
    /// Something was not a frame: from then on bytes are taken as plain output.
    broken: bool,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    is_record: bool,
    remaining: usize,
}

impl Frames {
    fn push(&mut self, mut bytes: &[u8], tap: &Tap) {
        while !bytes.is_empty() {
            if self.broken {
                return self.plain.push(bytes, tap);
            }
            let Some(frame) = &mut self.frame else {
                let (now, later) =
                    bytes.split_at(bytes.len().min(FRAME_HEADER_BYTES - self.header.len()));
                self.header.extend_from_slice(now);
                bytes = later;
                if self.header.len() == FRAME_HEADER_BYTES {
                    self.begin(tap);
                }
                continue;
            };
            let (now, later) = bytes.split_at(bytes.len().min(frame.remaining));
            bytes = later;
            frame.remaining -= now.len();
            let (is_record, ended) = (frame.is_record, frame.remaining == 0);
            if is_record {
                self.record.extend_from_slice(now);
            } else {
                self.plain.push(now, tap);
            }
            if ended {
                self.frame = None;
            }
            if is_record && (ended || self.record.len() >= LINE_BYTES_MAX) {
                let text =
                    self.record.strip_suffix(b"\n").filter(|_| ended).unwrap_or(&self.record);
                for piece in text.chunks(LINE_BYTES_MAX) {
                    tap.line(LineKind::Application, piece);
                }
                if text.is_empty() && ended {
                    tap.line(LineKind::Application, b"");
                }
                self.record.clear();
                self.record.shrink_to(CHUNK_BYTES);
            }
        }
    }

    fn begin(&mut self, tap: &Tap) {
        let word = |at: usize| u32::from_be_bytes([0, 1, 2, 3].map(|i| self.header[at + i]));
        let (kind, length) = (word(0), word(4));
        let is_record = kind & FRAME_RECORD_MASK == FRAME_RECORD;
        if !is_record && kind != FRAME_PLAIN {
            tracing::warn!(
                kind,
                "a function wrote something else than frames to its telemetry socket"
            );
            self.broken = true;
            self.plain.push(&self.header, tap);
            return;
        }
        self.header.clear();
        // An empty record is a line too; it ends at its header.
        if length == 0 {
            if is_record {
                tap.line(LineKind::Application, b"");
            }
            return;
        }
        self.frame = Some(Frame { is_record, remaining: length as usize });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::{Function, LogLine, Logs};
    use durastack_clock::Clock;
    use std::{io::Write as _, sync::Mutex, time::Duration};

    #[derive(Default)]
    struct Seen(Mutex<Vec<String>>);

    impl Logs for Seen {
        fn line(&self, line: LogLine<'_>) {
            self.0.lock().unwrap().push(String::from_utf8_lossy(line.text).into_owned());
        }
    }

    fn tap() -> (Arc<Tap>, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let logs: Arc<dyn Logs> = Arc::clone(&seen) as _;
        let clock = Clock::system(Duration::ZERO);
        (Arc::new(Tap::new(Function::sample("python3.12").into(), "s".into(), logs, clock)), seen)
    }

    fn frame(kind: u32, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap();
        [&kind.to_be_bytes()[..], &length.to_be_bytes(), &[0; 8], text.as_bytes()].concat()
    }

    /// The lines of these bytes, which must not depend on how they come in pieces.
    fn check(bytes: &[u8], expected: &[&str]) {
        for size in [1, 3, 17, bytes.len()] {
            let (tap, seen) = tap();
            let mut frames = Frames::default();
            bytes.chunks(size).for_each(|piece| frames.push(piece, &tap));
            frames.plain.finish(&tap);
            assert_eq!(*seen.0.lock().unwrap(), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn frames_become_lines() {
        check(&frame(0xA55A_0013, "one\nrecord\n"), &["one\nrecord"]);
        check(&[frame(0xA55A_0002, "{}"), frame(FRAME_PLAIN, "a\nb")].concat(), &["{}", "a", "b"]);
        check(&[frame(FRAME_PLAIN, "a"), frame(FRAME_PLAIN, "b\r\n\n")].concat(), &["ab\r", ""]);
        check(&[frame(0xA55A_0003, ""), frame(FRAME_PLAIN, "")].concat(), &[""]);
    }

    #[test]
    fn what_is_no_frame_is_plain_output() {
        check(b"this is no frame at all\nreally", &["this is no frame at all", "really"]);
    }

    #[test]
    fn long_lines_and_records_are_split() {
        let (tap, seen) = tap();
        Lines::default().push(&vec![b'x'; LINE_BYTES_MAX + 1], &tap);
        Frames::default().push(&frame(0xA55A_0003, &"y".repeat(LINE_BYTES_MAX * 2)), &tap);
        let seen = seen.0.lock().unwrap();
        assert!(seen.len() >= 3 && seen.iter().all(|l| l.len() <= LINE_BYTES_MAX));
        assert_eq!(seen.iter().map(|l| l.matches('y').count()).sum::<usize>(), LINE_BYTES_MAX * 2);
    }

    #[tokio::test]
    async fn a_flush_takes_what_was_written_and_waits_for_no_end() {
        let (tap, seen) = tap();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (read, mut write) = io::pipe().unwrap();
        let plain = pipe::Receiver::from_owned_fd(read.into()).unwrap();
        let (output, drain) = Output::read(plain, UnixStream::from_std(ours).unwrap(), tap);
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(drain);
        theirs.write_all(&frame(FRAME_PLAIN, "framed")).unwrap();
        write.write_all(b"plain").unwrap();
        output.flush().await;
        assert_eq!(*seen.0.lock().unwrap(), ["framed", "plain"]);
        drop(output);
        tasks.close();
        tasks.wait().await;
    }
}
