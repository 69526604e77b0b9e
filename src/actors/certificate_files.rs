//! The files of the TLS listener that has no name in the configuration: what they hold, and putting new texts into them.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{self, Path, PathBuf},
};

use super::private_file;
use crate::{
    config::{
        AuthRequest, Config, DEFAULT_LISTENER, ListenerTls, Refusal, RequestTls, Secret, Setting,
        with_settings,
    },
    messages::{CertificateTexts, PemText, PemTexts},
    transport::{Identity, NewTexts},
};

/// Most bytes of a file that is shown.
const MOST: u64 = 1 << 20;
/// For all to read, as certificates are for all to see.
const PUBLIC: u32 = 0o644;

/// A file that a key of the listener names.
struct Role {
    key: &'static str,
    /// Its name beside the configuration file.
    name: &'static str,
    of: fn(&ListenerTls) -> &PathBuf,
}

const KEY: Role = Role {
    key: "listeners.ssl.default.keyfile",
    name: "key",
    of: |tls| &tls.keyfile,
};
const CERT: Role = Role {
    key: "listeners.ssl.default.certfile",
    name: "cert",
    of: |tls| &tls.certfile,
};
const CACERT: Role = Role {
    key: "listeners.ssl.default.cacertfile",
    name: "cacert",
    of: |tls| &tls.cacertfile,
};
const ROLES: [&Role; 3] = [&KEY, &CERT, &CACERT];

/// What the files hold, those of requests too.
pub(super) fn read(config: &Config) -> CertificateTexts {
    let listener = config.listeners.ssl.get(DEFAULT_LISTENER);
    let listener = listener.map(|listener| &listener.tls);
    let http = &config.auth.http_auth;
    let of_request = |request: &AuthRequest| {
        let RequestTls {
            cacertfile,
            certfile,
            keyfile,
            ..
        } = &request.tls;
        texts(keyfile, certfile, cacertfile)
    };
    CertificateTexts {
        listener: listener.map_or_else(PemTexts::default, |tls| {
            texts(&tls.keyfile, &tls.certfile, &tls.cacertfile)
        }),
        auth_req: of_request(&http.auth_req),
        super_req: of_request(&http.super_req),
        acl_req: of_request(&http.acl_req),
    }
}

fn texts(keyfile: &Path, certfile: &Path, cacertfile: &Path) -> PemTexts {
    let text = |file: &Path| {
        if file.as_os_str().is_empty() {
            return None;
        }
        let text = read_file(file);
        text.inspect_err(|error| log::warn!("{}: {error}", file.display()))
            .ok()
    };
    PemTexts {
        key: text(keyfile).map(Secret::new),
        cert: text(certfile),
        cacert: text(cacertfile),
    }
}

fn read_file(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut limited = File::open(file)?.take(MOST + 1);
    limited.read_to_string(&mut text)?;
    match u64::try_from(text.len()).is_ok_and(|len| len <= MOST) {
        true => Ok(text),
        false => Err(io::Error::other(format!("more than {MOST} bytes"))),
    }
}

/// New texts, each with its place, that go together with each other and with what else is there.
pub(super) struct NewFiles(Vec<NewFile>);

struct NewFile {
    key: &'static str,
    path: PathBuf,
    text: Secret,
}

impl NewFiles {
    /// Finds a place for each text: the file that `config` names, as a start would have it, or a new one beside the file
    /// of the configuration. With `settings` in force they must be what a listener needs.
    ///
    /// # Errors
    /// Every key whose text cannot be used.
    pub(super) fn place(
        texts: &[PemText],
        config: &Config,
        settings: &[Setting],
        beside: &Path,
    ) -> Result<Self, Vec<Refusal>> {
        let mut files = Vec::new();
        let mut refused = Vec::new();
        for text in texts {
            let Some(role) = ROLES.iter().find(|role| role.key == text.key) else {
                refused.push(refusal(text.key, "names no file that can be written"));
                continue;
            };
            match place_of(role, config, beside) {
                Ok(path) => files.push(NewFile {
                    key: role.key,
                    path,
                    text: text.text.clone(),
                }),
                Err(error) => refused.push(refusal(role.key, &error.to_string())),
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let files = Self(files);
        files.check(config, settings)?;
        Ok(files)
    }

    fn check(&self, config: &Config, settings: &[Setting]) -> Result<(), Vec<Refusal>> {
        let settings = [settings, &self.settings()?].concat();
        let wanted = with_settings(config, &settings)?;
        let Some(listener) = wanted.listeners.ssl.get(DEFAULT_LISTENER) else {
            return Ok(());
        };
        let texts: Vec<(PathBuf, Secret)> = self
            .0
            .iter()
            .map(|file| (file.path.clone(), file.text.clone()))
            .collect();
        Identity::check(&listener.tls, NewTexts(&texts)).map_err(|bad| {
            let blamed = self.0.iter().find(|file| file.path == bad.file());
            let blamed = blamed.or(self.0.first());
            let why = match blamed.is_some_and(|file| file.path == bad.file()) {
                true => bad.why().to_owned(),
                false => bad.to_string(),
            };
            vec![refusal(blamed.map_or("", |file| file.key), &why)]
        })
    }

    /// The keys of the configuration with the names of the files.
    ///
    /// # Errors
    /// Every key whose file has a name that the configuration cannot have.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, Vec<Refusal>> {
        let setting = |file: &NewFile| match file.path.to_str() {
            Some(path) => Ok(Setting {
                key: file.key,
                value: Secret::new(path),
            }),
            None => Err(vec![refusal(
                file.key,
                "its file has a name that is not UTF-8",
            )]),
        };
        self.0.iter().map(setting).collect()
    }

    /// The keys whose files are those that `config` names.
    pub(super) fn keys_in(&self, config: &Config) -> Vec<&'static str> {
        let listener = config.listeners.ssl.get(DEFAULT_LISTENER);
        let is_named = |file: &&NewFile| {
            let role = ROLES.iter().find(|role| role.key == file.key);
            role.zip(listener)
                .is_some_and(|(role, listener)| *(role.of)(&listener.tls) == file.path)
        };
        self.0
            .iter()
            .filter(is_named)
            .map(|file| file.key)
            .collect()
    }

    /// Writes them; the old ones stay beside them, with `.old` at the end of their names.
    ///
    /// # Errors
    /// All files are as they were.
    pub(super) fn write(&self) -> io::Result<Written> {
        let mut written = Written(Vec::new());
        for file in &self.0 {
            let replaced = replace(file);
            match replaced {
                Ok(one) => written.0.push(one),
                Err(error) => {
                    written.undo();
                    let named = format!("{}: {error}", file.path.display());
                    return Err(io::Error::new(error.kind(), named));
                }
            }
        }
        Ok(written)
    }
}

/// Files that were written, each with where its old text is.
pub(super) struct Written(Vec<(PathBuf, Option<PathBuf>)>);

impl Written {
    /// Puts the old files back.
    pub(super) fn undo(self) {
        for (path, old) in self.0 {
            let undone = match old {
                Some(old) => fs::rename(old, &path),
                None => fs::remove_file(&path),
            };
            if let Err(error) = undone {
                log::error!("{}: cannot be put back: {error}", path.display());
            }
        }
    }
}

fn replace(file: &NewFile) -> io::Result<(PathBuf, Option<PathBuf>)> {
    let mode = if file.key == KEY.key { 0o600 } else { PUBLIC };
    let text = file.text.expose();
    // Of a link the target is replaced.
    let path = match fs::canonicalize(&file.path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            private_file::replace_with_mode(&file.path, text, mode)?;
            return Ok((file.path.clone(), None));
        }
        Err(error) => return Err(error),
    };
    let mut old = OsString::from(&path);
    old.push(".old");
    let old = PathBuf::from(old);
    match fs::remove_file(&old) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A file system without hard links gets a copy.
    fs::hard_link(&path, &old).or_else(|_| fs::copy(&path, &old).map(drop))?;
    private_file::replace_with_mode(&path, text, mode)?;
    Ok((path, Some(old)))
}

/// The file that the configuration names for a role and for no other, or one that is not there yet.
fn place_of(role: &Role, config: &Config, beside: &Path) -> io::Result<PathBuf> {
    let listener = config.listeners.ssl.get(DEFAULT_LISTENER);
    let named = listener.map(|listener| (role.of)(&listener.tls));
    if let Some(named) = named.filter(|named| !named.as_os_str().is_empty()) {
        let others = config.listeners.all().filter_map(|any| any.tls);
        let mut others = others.flat_map(|tls| {
            let other = ROLES.iter().filter(|other| other.key != role.key);
            other.map(|other| (other.of)(tls))
        });
        // One file with the certificate and its key keeps both.
        if others.all(|other| other != named) {
            return Ok(named.clone());
        }
    }
    let folder = path::absolute(beside)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let mut number = 0;
    loop {
        let name = match number {
            0 => format!("{}.pem", role.name),
            number => format!("{}-{number}.pem", role.name),
        };
        let path = folder.join(name);
        if fs::symlink_metadata(&path).is_err() {
            return Ok(path);
        }
        number += 1;
    }
}

fn refusal(key: &str, why: &str) -> Refusal {
    Refusal {
        key: key.to_owned(),
        why: why.to_owned(),
    }
}
