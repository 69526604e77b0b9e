//! Replacing a file so that at every moment the old or the new one is whole.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// Puts `text` in the place of what the file at `path` holds. The file keeps its mode, and its owner where that is
/// allowed; what it held stays beside it with `.old` at the end of its name. Of a link the target is replaced.
///
/// # Errors
/// When a file cannot be written, linked or renamed; the old one is still in its place then.
pub fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let new = beside(&path, ".new");
    remove(&new)?;
    let written = write(&path, &new, text).and_then(|()| {
        keep_old(&path)?;
        fs::rename(&new, &path)
    });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = remove(&new);
    }
    written?;
    // The rename itself survives a loss of power when the folder is on disk.
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)?.sync_all()
}

fn write(path: &Path, new: &Path, text: &str) -> io::Result<()> {
    let old = fs::metadata(path)?;
    // Nobody else reads it before it has the mode of the old one: passwords may be in it.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(text.as_bytes())?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        // Only a privileged broker may; the file is readable for the broker itself in any case.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.set_permissions(old.permissions())?;
    file.sync_all()
}

fn keep_old(path: &Path) -> io::Result<()> {
    let old = beside(path, ".old");
    remove(&old)?;
    // A file system without hard links gets a copy.
    fs::hard_link(path, &old).or_else(|_| fs::copy(path, &old).map(drop))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_old_file_stays_beside_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.conf");
        let link = folder.path().join("link.conf");
        fs::write(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        // What a broker that died while it wrote has left.
        fs::write(folder.path().join("x.conf.new"), "half").unwrap();
        for (text, before) in [("two", "one"), ("three", "two")] {
            replace_file(&link, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let old = folder.path().join("x.conf.old");
            assert_eq!(fs::read_to_string(old).unwrap(), before);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_cannot_be_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.conf");
        fs::write(&path, "one").unwrap();
        fs::create_dir(folder.path().join("x.conf.old")).unwrap();
        assert!(replace_file(&path, "two").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
