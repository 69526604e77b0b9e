//! A file that only its owner may read, replaced as a whole.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Read and write for the owner, nothing for others.
const MODE: u32 = 0o600;

/// Reads a file of at most `most` bytes; `None` when there is none. Warns when others may read it.
///
/// # Errors
/// It cannot be read, is larger, or is not UTF-8; the message names it.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Option<String>> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(error)),
    };
    let mode = file.metadata().map_err(named)?.permissions().mode();
    if mode & 0o077 != 0 {
        log::warn!("{}: others than its owner may open it", path.display());
    }
    let mut text = String::new();
    file.take(most.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(named)?;
    match u64::try_from(text.len()).is_ok_and(|len| len <= most) {
        true => Ok(Some(text)),
        false => Err(named(io::Error::other(format!("more than {most} bytes")))),
    }
}

/// Replaces a file, or makes it. Whenever the machine fails, either the old or the new one is there.
///
/// # Errors
/// The old file is as it was.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    replace_with_mode(path, text, MODE)
}

/// As [`replace`], with a mode of its own.
///
/// # Errors
/// As [`replace`].
pub(super) fn replace_with_mode(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut name = OsString::from(path.as_os_str());
    name.push(".new");
    let beside = PathBuf::from(name);
    // Made anew, so that it has this mode and nobody has it open.
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // Nothing is lost if it stays behind.
        let _ = fs::remove_file(&beside);
        return written;
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    // The new name is on disk when its folder is.
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        assert_eq!(read(&path, 10).unwrap(), None);
        // What an attempt that was cut off left behind does no harm.
        fs::write(folder.path().join("users.json.new"), "rest").unwrap();
        for text in ["one", "another"] {
            replace(&path, text).unwrap();
            assert_eq!(read(&path, 10).unwrap().as_deref(), Some(text));
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, MODE);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = read(&path, 3).unwrap_err().to_string();
        assert!(
            error.contains("users.json") && error.contains("3 bytes"),
            "{error}"
        );
        assert!(replace(&folder.path().join("none/users.json"), "x").is_err());
    }
}
