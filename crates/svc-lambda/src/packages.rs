//! Code packages on disk: zip files by content, durable before anything names them, unpacked on first use.
//!
//! `<data>/code/<sha256>.zip` is the package, `<data>/code/<sha256>/` its content. Both appear whole or not at all.

use crate::function::Code;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Cursor, Read, Seek, Write},
    path::{Component, Path, PathBuf},
};
use zip::{ZipArchive, result::ZipError};

/// How many bytes a package may unpack to. Source: Lambda quotas, "Deployment package size", 250 MB unzipped.
pub const UNPACKED_BYTES_MAX: u64 = 262_144_000;

/// How long the target of a symbolic link may be, as on Linux.
const LINK_BYTES_MAX: u64 = 4096;

/// Where packages are kept.
#[derive(Debug)]
pub(crate) struct Packages {
    folder: PathBuf,
    /// One package is unpacked at a time, so that two first uses of one do not race.
    unpacking: tokio::sync::Mutex<()>,
}

/// Why a package is refused or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It is no zip file, or a damaged one, or one whose names or links lead outside.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again.")]
    NotZip(#[source] Option<ZipError>),
    /// There is nothing in it.
    #[error("Uploaded file must be a non-empty zip")]
    Empty,
    /// It unpacks to more than [`UNPACKED_BYTES_MAX`].
    #[error("Unzipped size must be smaller than {UNPACKED_BYTES_MAX} bytes")]
    TooLarge,
    /// A file operation failed.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The work was cut off because durastack stops.
    #[error("the work on a code package was cut off")]
    CutOff,
}

impl Packages {
    /// Packages in this folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`PackageError::File`].
    pub(crate) fn open(folder: PathBuf) -> Result<Self, PackageError> {
        fs::create_dir_all(&folder).map_err(file_error("create", &folder))?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
        Ok(Self { folder, unpacking: tokio::sync::Mutex::new(()) })
    }

    /// Looks at a package without keeping it.
    ///
    /// # Errors
    ///
    /// Whether it would be refused.
    pub(crate) async fn check(&self, zip: Bytes) -> Result<Code, PackageError> {
        off_thread(move || examine(&zip)).await
    }

    /// Keeps a package. It is on disk for good when this returns.
    ///
    /// # Errors
    ///
    /// [`PackageError::NotZip`], [`PackageError::Empty`] or [`PackageError::TooLarge`] if it is refused.
    pub(crate) async fn keep(&self, zip: Bytes) -> Result<Code, PackageError> {
        let folder = self.folder.clone();
        off_thread(move || {
            let code = examine(&zip)?;
            let path = folder.join(format!("{}.zip", hex(&code.sha256)));
            if !path.is_file() {
                write_durably(&folder, &path, &zip)?;
            }
            Ok(code)
        })
        .await
    }

    /// The folder that a package is unpacked in.
    ///
    /// # Errors
    ///
    /// [`PackageError::File`], and the refusals if the file was damaged meanwhile.
    pub(crate) async fn unpacked(&self, code: Code) -> Result<PathBuf, PackageError> {
        let name = hex(&code.sha256);
        let target = self.folder.join(&name);
        let _one_at_a_time = self.unpacking.lock().await;
        let (folder, path) = (self.folder.clone(), target.clone());
        off_thread(move || {
            if path.is_dir() {
                return Ok(());
            }
            let zip = folder.join(format!("{name}.zip"));
            let archive = File::open(&zip).map_err(file_error("open", &zip))?;
            let draft = folder.join(format!("{name}.unpacking"));
            remove_folder(&draft)?;
            fs::create_dir(&draft).map_err(file_error("create", &draft))?;
            unpack(archive, &draft, UNPACKED_BYTES_MAX)?;
            fs::rename(&draft, &path).map_err(file_error("rename", &draft))
        })
        .await?;
        Ok(target)
    }

    /// A package as it was uploaded, if it is there.
    pub(crate) async fn read(&self, sha256: [u8; 32]) -> Option<Bytes> {
        let path = self.folder.join(format!("{}.zip", hex(&sha256)));
        tokio::task::spawn_blocking(move || fs::read(path).ok())
            .await
            .ok()
            .flatten()
            .map(Bytes::from)
    }

    /// Deletes the packages that nothing names any more, and what an earlier process left half done. To be called
    /// before anything runs.
    ///
    /// Unpacked files are not synced one by one; instead, after a reboot, which may have been a power cut, everything
    /// is unpacked anew.
    ///
    /// # Errors
    ///
    /// [`PackageError::File`].
    pub(crate) async fn sweep(&self, named: BTreeSet<[u8; 32]>) -> Result<(), PackageError> {
        let folder = self.folder.clone();
        off_thread(move || {
            let same_boot = note_boot(&folder)?;
            for entry in fs::read_dir(&folder).map_err(file_error("read", &folder))? {
                let path = entry.map_err(file_error("read", &folder))?.path();
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
                // What does not begin with a hash is somebody else's.
                let Some(sha256) = name.as_deref().and_then(|n| from_hex(n.get(..64)?)) else {
                    continue;
                };
                let is_whole =
                    name.is_some_and(|n| same_boot && n.len() == 64 || n[64..] == *".zip");
                if is_whole && named.contains(&sha256) {
                    continue;
                }
                if path.is_dir() {
                    remove_folder(&path)?;
                } else {
                    fs::remove_file(&path).map_err(file_error("delete", &path))?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// Notes in which boot of the machine this folder was used last; says whether that was this one.
fn note_boot(folder: &Path) -> Result<bool, PackageError> {
    let Ok(boot) = fs::read("/proc/sys/kernel/random/boot_id") else { return Ok(false) };
    let note = folder.join("boot-id");
    if fs::read(&note).is_ok_and(|noted| noted == boot) {
        return Ok(true);
    }
    fs::write(&note, boot).map_err(file_error("write", &note))?;
    Ok(false)
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackageError> + Send + 'static,
) -> Result<T, PackageError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(PackageError::CutOff))
}

fn examine(zip: &[u8]) -> Result<Code, PackageError> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(not_zip)?;
    if archive.is_empty() {
        return Err(PackageError::Empty);
    }
    let mut left = UNPACKED_BYTES_MAX;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(not_zip)?;
        if entry.enclosed_name().is_none() {
            return Err(PackageError::NotZip(None));
        }
        // Read to its end, so that a damaged package is refused when it is sent and not when it is needed.
        let mut content = entry.by_ref().take(left.saturating_add(1));
        let bytes = io::copy(&mut content, &mut io::sink())
            .map_err(|source| PackageError::NotZip(Some(ZipError::Io(source))))?;
        left = left.checked_sub(bytes).ok_or(PackageError::TooLarge)?;
    }
    Ok(Code {
        sha256: Sha256::digest(zip).into(),
        bytes: u64::try_from(zip.len()).unwrap_or(u64::MAX),
    })
}

/// Unpacks into an empty folder. Links come last and are looked at once they are there, so that nothing is ever
/// written through one, and none is left that leads outside.
fn unpack(zip: impl Read + Seek, folder: &Path, limit: u64) -> Result<(), PackageError> {
    let mut archive = ZipArchive::new(zip).map_err(not_zip)?;
    let mut left = limit;
    let mut links = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(not_zip)?;
        let path = folder.join(entry.enclosed_name().ok_or(PackageError::NotZip(None))?);
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(file_error("create", &path))?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(file_error("create", parent))?;
        }
        if entry.is_symlink() {
            let mut target = String::new();
            entry
                .take(LINK_BYTES_MAX)
                .read_to_string(&mut target)
                .map_err(|_| PackageError::NotZip(None))?;
            links.push((path, PathBuf::from(target)));
            continue;
        }
        let mode = entry.unix_mode();
        let mut file = File::create(&path).map_err(file_error("create", &path))?;
        // What an entry says of its own size may be a lie.
        let copied = io::copy(&mut entry.by_ref().take(left.saturating_add(1)), &mut file)
            .map_err(|source| match source.kind() {
                io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::UnexpectedEof => PackageError::NotZip(Some(ZipError::Io(source))),
                _ => file_error("write", &path)(source),
            })?;
        left = left.checked_sub(copied).ok_or(PackageError::TooLarge)?;
        set_mode(&path, mode)?;
    }
    let root = folder.canonicalize().map_err(file_error("resolve", folder))?;
    for (path, target) in &links {
        link(target, path)?;
    }
    for (path, _) in &links {
        // A link to nothing stays out as well: nobody can say where it will lead.
        if !path.canonicalize().is_ok_and(|resolved| resolved.starts_with(&root)) {
            return Err(PackageError::NotZip(None));
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> Result<(), PackageError> {
    if target.components().any(|c| matches!(c, Component::RootDir | Component::Prefix(_))) {
        return Err(PackageError::NotZip(None));
    }
    std::os::unix::fs::symlink(target, path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => PackageError::NotZip(None),
        _ => file_error("link", path)(source),
    })
}

/// The owner can always read and write, whatever the package says: durastack deletes the folder again one day.
#[cfg(unix)]
fn set_mode(path: &Path, mode: Option<u32>) -> Result<(), PackageError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = mode.map_or(0o644, |mode| (mode & 0o777) | 0o600);
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(file_error("set the mode of", path))
}

fn write_durably(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
    // Two writers of one package write the same bytes, but each into a file of its own.
    static DRAFTS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = DRAFTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let draft = path.with_extension(format!("{number}.writing"));
    let mut file = File::create(&draft).map_err(file_error("create", &draft))?;
    file.write_all(bytes).map_err(file_error("write", &draft))?;
    file.sync_all().map_err(file_error("sync", &draft))?;
    fs::rename(&draft, path).map_err(file_error("rename", &draft))?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), PackageError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(file_error("sync", folder))
}

fn remove_folder(folder: &Path) -> Result<(), PackageError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file_error("delete", folder)(error))
        }
        _ => Ok(()),
    }
}

fn not_zip(error: ZipError) -> PackageError {
    PackageError::NotZip(Some(error))
}

fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    move |source| PackageError::File { doing, path: path.to_owned(), source }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn zip(build: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Bytes {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        build(&mut writer);
        writer.finish().unwrap().into_inner().into()
    }

    fn file(writer: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, mode: u32, text: &str) {
        let options = SimpleFileOptions::default().unix_permissions(mode);
        writer.start_file(name, options).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }

    fn packages() -> (tempfile::TempDir, Packages) {
        let folder = tempfile::tempdir().unwrap();
        let packages = Packages::open(folder.path().join("code")).unwrap();
        (folder, packages)
    }

    #[tokio::test]
    async fn a_package_is_kept_and_unpacked() {
        let (folder, packages) = packages();
        packages.sweep(BTreeSet::new()).await.unwrap();
        let bytes = zip(|w| {
            file(w, "bootstrap", 0o755, "#!/bin/sh");
            file(w, "lib/a.py", 0o400, "a = 1");
            w.add_symlink("b.py", "lib/a.py", SimpleFileOptions::default()).unwrap();
        });
        let code = packages.keep(bytes.clone()).await.unwrap();
        assert_eq!(code.bytes, u64::try_from(bytes.len()).unwrap());
        assert_eq!(packages.check(bytes).await.unwrap(), code);
        let unpacked = packages.unpacked(code).await.unwrap();
        let mode = |name: &str| fs::metadata(unpacked.join(name)).unwrap().permissions().mode();
        assert_eq!(mode("bootstrap") & 0o777, 0o755);
        assert_eq!(mode("lib/a.py") & 0o777, 0o600);
        assert_eq!(fs::read_to_string(unpacked.join("b.py")).unwrap(), "a = 1");
        assert_eq!(packages.unpacked(code).await.unwrap(), unpacked);

        let draft = unpacked.with_extension("unpacking");
        let strange = unpacked.with_file_name("node_modules");
        fs::create_dir(&draft).unwrap();
        fs::create_dir(&strange).unwrap();
        packages.sweep([code.sha256].into()).await.unwrap();
        assert!(!draft.exists() && strange.exists());
        assert!(unpacked.is_dir());
        fs::write(folder.path().join("code/boot-id"), "an earlier boot").unwrap();
        packages.sweep([code.sha256].into()).await.unwrap();
        assert!(!unpacked.exists(), "a power cut may have spoilt it");
        assert_eq!(packages.unpacked(code).await.unwrap(), unpacked);
        packages.sweep(BTreeSet::new()).await.unwrap();
        assert!(!unpacked.exists() && packages.unpacked(code).await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_package() {
        let (_folder, packages) = packages();
        let refused = |bytes: Bytes| async { packages.keep(bytes).await.unwrap_err().to_string() };
        let text =
            "Could not unzip uploaded file. Please check your file, then try to upload again.";
        assert_eq!(refused(Bytes::from_static(b"rubbish")).await, text);
        assert_eq!(refused(Bytes::new()).await, text);
        assert_eq!(refused(zip(|w| file(w, "../up", 0o644, ""))).await, text);
        assert_eq!(refused(zip(|_| {})).await, "Uploaded file must be a non-empty zip");
        let mut damaged = zip(|w| file(w, "a", 0o644, "some text that is compressed")).to_vec();
        damaged[40] ^= 0xff;
        assert_eq!(refused(damaged.into()).await, text);
    }

    #[tokio::test]
    async fn links_stay_inside() {
        for (name, target) in [
            ("a", "/etc/passwd"),
            ("a", "../../x"),
            ("a/b", "../.."),
            ("a", "nowhere"),
            ("file", "d"),
        ] {
            let (_folder, packages) = packages();
            let code = packages
                .keep(zip(|w| {
                    file(w, "file", 0o644, "");
                    file(w, "d/e", 0o644, "");
                    w.add_symlink(name, target, SimpleFileOptions::default()).unwrap_or_default();
                }))
                .await
                .unwrap();
            let unpacked = packages.unpacked(code).await;
            let duplicate = name == "file";
            assert!(duplicate || matches!(unpacked, Err(PackageError::NotZip(_))), "{target}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = zip(|w| file(w, "a", 0o644, "12345"));
        let unpack = |limit| unpack(Cursor::new(bytes.clone()), folder.path(), limit);
        assert!(matches!(unpack(4), Err(PackageError::TooLarge)));
        assert!(unpack(5).is_ok());
    }

    #[test]
    fn hashes_have_names() {
        let sha256 = [0xab; 32];
        assert_eq!(from_hex(&hex(&sha256)), Some(sha256));
        assert_eq!(from_hex("ab"), None);
    }
}
