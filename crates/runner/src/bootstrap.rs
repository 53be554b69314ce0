//! The bootstraps that durastack carries, and how each kind of function is started.

use crate::{
    function::Function,
    interpreter::{Interpreter, Language},
};
use sha2::{Digest, Sha256};
use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    io::{self, Read as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

const PYTHON: &str = include_str!("bootstraps/bootstrap.py");
const PYTHON_FC: &str = include_str!("bootstraps/fc.py");
const PYTHON_RUNTIME: &str = include_str!("bootstraps/durastack_runtime.py");
const NODE: &str = include_str!("bootstraps/bootstrap.mjs");
const NODE_CALLBACK: &str = include_str!("bootstraps/callback.mjs");
const NODE_CLIENT: &str = include_str!("bootstraps/client.mjs");
const NODE_FC: &str = include_str!("bootstraps/fc.mjs");
const NODE_CONSOLE: &str = include_str!("bootstraps/console.mjs");
const NODE_LOADER: &str = include_str!("bootstraps/loader.mjs");

/// The folder that holds the bootstraps: `LAMBDA_RUNTIME_DIR`.
#[derive(Debug)]
pub(crate) struct Bootstraps {
    pub(crate) folder: PathBuf,
    start_folder: PathBuf,
}

impl Bootstraps {
    /// Writes the bootstraps below `run`, in a folder named by their content: an older process keeps its own.
    pub(crate) fn unpack(run: &Path, start_folder: PathBuf) -> io::Result<Self> {
        let files = [
            ("bootstrap.py", PYTHON),
            ("fc.py", PYTHON_FC),
            ("durastack_runtime.py", PYTHON_RUNTIME),
            ("bootstrap.mjs", NODE),
            ("callback.mjs", NODE_CALLBACK),
            ("client.mjs", NODE_CLIENT),
            ("fc.mjs", NODE_FC),
            ("console.mjs", NODE_CONSOLE),
            ("loader.mjs", NODE_LOADER),
        ];
        let mut hash = Sha256::new();
        for (name, text) in files {
            hash.update(name);
            hash.update(text);
        }
        let mut name = "bootstrap-".to_owned();
        for byte in &hash.finalize()[..8] {
            write!(name, "{byte:02x}").expect("writing to a String");
        }
        let folder = run.join(name);
        fs::create_dir_all(&folder)?;
        for (name, text) in files {
            // Written even if it is there: an earlier write may have been cut short.
            fs::write(folder.join(name), text)?;
        }
        Ok(Self { folder, start_folder })
    }

    /// Program arguments for an interpreter, for Lambda's contract.
    pub(crate) fn lambda(&self, language: &Language) -> Vec<OsString> {
        match language {
            Language::Python(_) => vec![self.folder.join("bootstrap.py").into()],
            Language::Node(_) => {
                vec![self.folder.join("bootstrap.mjs").into(), self.start_folder.clone().into()]
            }
            Language::Provided => Vec::new(),
        }
    }

    /// Program arguments for an interpreter, for Function Compute's contract.
    pub(crate) fn function_compute(&self, language: &Language, facts: String) -> Vec<OsString> {
        let file = match language {
            Language::Python(_) => "fc.py",
            Language::Node(_) => "fc.mjs",
            Language::Provided => return Vec::new(),
        };
        vec![self.folder.join(file).into(), facts.into()]
    }
}

/// Lets ES modules of unpacked code find the start folder's packages: a link beside the code's folder, never in it,
/// and only within the data folder.
pub(crate) fn link_node_modules(function: &Function, run: &Path, start_folder: &Path) {
    let packages = start_folder.join("node_modules");
    let (Some(data), Some(parent)) = (run.parent(), function.code.parent()) else { return };
    if !packages.is_dir() || !parent.starts_with(data) {
        return;
    }
    let link = parent.join("node_modules");
    if fs::read_link(&link).is_ok_and(|target| target == packages) {
        return;
    }
    // A link of an earlier start folder; anything else is not ours, and removing a folder this way fails.
    fs::remove_file(&link).ok();
    if let Err(error) = symlink(&packages, &link) {
        tracing::debug!(%error, "failed to link node_modules");
    }
}

/// What is wrong with a package's own bootstrap, in the words of Lambda; checked here because the shell that starts
/// it would answer with words of its own, or run anything as a script. Source for the texts: AWS's emulator.
pub(crate) fn provided_fault(code: &Path) -> Option<&'static str> {
    let path = code.join("bootstrap");
    let Ok(metadata) = fs::metadata(&path) else {
        return Some("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
    };
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Some("fork/exec /var/task/bootstrap: permission denied");
    }
    let mut head = Vec::new();
    if let Err(error) = fs::File::open(&path).and_then(|f| f.take(256).read_to_end(&mut head)) {
        // Executable but not readable: nothing can be said, and it may well run.
        tracing::debug!(%error, "failed to look at a bootstrap");
        return None;
    }
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = String::from_utf8_lossy(line.split(|b| *b == b'\n').next().unwrap_or_default());
        let interpreter = line.split_whitespace().next().unwrap_or_default();
        return (!Path::new(interpreter).exists())
            .then_some("fork/exec /var/task/bootstrap: no such file or directory");
    }
    (!is_native(&head)).then_some("fork/exec /var/task/bootstrap: exec format error")
}

/// Whether a file that begins like this is a program for this machine.
fn is_native(head: &[u8]) -> bool {
    if cfg!(target_os = "macos") {
        let magic = head.get(..4);
        return [[0xcf, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]]
            .iter()
            .any(|m| magic == Some(m.as_slice()));
    }
    // Bytes 18 and 19 of an ELF head name the machine: x86-64 is 62, 64-bit ARM is 183.
    let machine: u8 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let known = cfg!(any(target_arch = "aarch64", target_arch = "x86_64"));
    head.starts_with(b"\x7fELF") && (!known || head.get(18..20) == Some(&[machine, 0]))
}

/// Where the program of a function lies, and its variables' `PATH` begins.
pub(crate) fn program(function: &Function, interpreter: Option<&Interpreter>) -> PathBuf {
    interpreter.map_or_else(|| function.code.join("bootstrap"), |i| i.program.clone())
}
