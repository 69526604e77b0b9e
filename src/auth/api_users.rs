//! The users of the HTTP API beside the built-in administrator of the configuration: their list, how it may change,
//! and the file it is kept in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::password_hash;

/// Most users.
pub const MAX_USERS: usize = 1000;
/// Longest user name in bytes.
pub const MAX_USERNAME: usize = 128;
/// Longest password in bytes.
pub const MAX_PASSWORD: usize = 512;
/// Longest description in bytes.
pub const MAX_DESCRIPTION: usize = 1024;

/// What a user of the API may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read and change.
    Administrator,
}

impl Role {
    /// The role as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Administrator => "administrator",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "administrator" => Ok(Self::Administrator),
            _ => Err(()),
        }
    }
}

/// A user of the API.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiUser {
    /// Its name, which no other user has.
    pub username: String,
    /// What it may do.
    pub role: Role,
    /// Whom or what it is for.
    #[serde(default)]
    pub description: String,
    /// The hash of its password, see [`password_hash`].
    pub hash: String,
}

impl fmt::Debug for ApiUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.username, self.role.as_str())
    }
}

/// A change of the list.
#[derive(Clone, Debug)]
pub enum UserChange {
    /// There is another user.
    Add(ApiUser),
    /// A user has another role or description.
    Describe {
        /// Whose.
        username: String,
        /// The new role, if it changes.
        role: Option<Role>,
        /// The new description, if it changes.
        description: Option<String>,
    },
    /// A user has another password.
    SetPassword {
        /// Whose.
        username: String,
        /// The hash that the old password was held against.
        old_hash: String,
        /// The hash of the new one.
        new_hash: String,
    },
    /// A user is gone.
    Remove {
        /// Who.
        username: String,
    },
}

/// Why the list did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserError {
    /// There is no such user.
    Unknown(String),
    /// There is one already.
    Exists(String),
    /// It is the built-in administrator, which only the configuration changes.
    BuiltIn(String),
    /// The old password is not, or no longer, the user's.
    WrongPassword,
    /// There are [`MAX_USERS`] already.
    TooMany,
    /// The file could not be written; why stands in the log.
    NotSaved,
}

/// The users in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserList(Vec<ApiUser>);

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<U> {
    /// 1.
    version: u32,
    users: U,
}

impl UserList {
    /// Reads what [`UserList::to_json`] wrote.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let file: File<Vec<ApiUser>> =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.version != 1 {
            return Err(format!("version {} is not known", file.version));
        }
        if file.users.len() > MAX_USERS {
            return Err(format!("has more than {MAX_USERS} users"));
        }
        let mut list = Self::default();
        for user in file.users {
            let name = &user.username;
            if !is_username(name) {
                return Err(format!("{name:?} cannot be a user name"));
            }
            if list.find(name).is_some() {
                return Err(format!("{name:?} is there twice"));
            }
            if !password_hash::is_hash(&user.hash) {
                return Err(format!("{name:?} has no argon2 hash of a password"));
            }
            list.0.push(user);
        }
        Ok(list)
    }

    /// The list as the text of a file.
    ///
    /// # Errors
    /// When a text cannot be written as JSON, which none is known to cause.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&File {
            version: 1,
            users: &self.0,
        })
    }

    /// All users.
    pub fn as_slice(&self) -> &[ApiUser] {
        &self.0
    }

    /// The user with a name.
    pub fn find(&self, username: &str) -> Option<&ApiUser> {
        self.0.iter().find(|user| user.username == username)
    }

    /// Makes a change; `built_in` is the name of the built-in administrator.
    ///
    /// # Errors
    /// Why it cannot be made; nothing has changed then.
    pub fn change(&mut self, change: UserChange, built_in: &str) -> Result<(), UserError> {
        match change {
            UserChange::Add(user) => {
                if user.username == built_in || self.find(&user.username).is_some() {
                    return Err(UserError::Exists(user.username));
                }
                if self.0.len() >= MAX_USERS {
                    return Err(UserError::TooMany);
                }
                self.0.push(user);
            }
            UserChange::Describe {
                username,
                role,
                description,
            } => {
                let user = self.find_mut(username, built_in)?;
                user.role = role.unwrap_or(user.role);
                if let Some(description) = description {
                    user.description = description;
                }
            }
            UserChange::SetPassword {
                username,
                old_hash,
                new_hash,
            } => {
                let user = self.find_mut(username, built_in)?;
                if user.hash != old_hash {
                    return Err(UserError::WrongPassword);
                }
                user.hash = new_hash;
            }
            UserChange::Remove { username } => {
                let name = self.find_mut(username, built_in)?.username.clone();
                self.0.retain(|user| user.username != name);
            }
        }
        Ok(())
    }

    fn find_mut(&mut self, username: String, built_in: &str) -> Result<&mut ApiUser, UserError> {
        if username == built_in {
            return Err(UserError::BuiltIn(username));
        }
        let user = self.0.iter_mut().find(|user| user.username == username);
        user.ok_or(UserError::Unknown(username))
    }
}

/// True when a text can be a user name: 1 to [`MAX_USERNAME`] bytes without a colon or control character (RFC 7617, 2).
pub fn is_username(text: &str) -> bool {
    (1..=MAX_USERNAME).contains(&text.len()) && !text.contains(|c: char| c == ':' || c.is_control())
}

/// True when a text can be a password: 1 to [`MAX_PASSWORD`] bytes without a control character (RFC 7617, 2).
pub fn is_password(text: &str) -> bool {
    (1..=MAX_PASSWORD).contains(&text.len()) && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::password_hash::NOBODY;

    fn user(name: &str) -> ApiUser {
        ApiUser {
            username: name.to_owned(),
            role: Role::Viewer,
            description: "d".to_owned(),
            hash: NOBODY.to_owned(),
        }
    }

    #[test]
    fn changes_are_made_or_refused() {
        let mut list = UserList::default();
        let remove = |name: &str| UserChange::Remove {
            username: name.to_owned(),
        };
        let describe = |name: &str| UserChange::Describe {
            username: name.to_owned(),
            role: Some(Role::Administrator),
            description: None,
        };
        let password = |name: &str, old: &str| UserChange::SetPassword {
            username: name.to_owned(),
            old_hash: old.to_owned(),
            new_hash: "new".to_owned(),
        };
        let built_in = || UserError::BuiltIn("admin".to_owned());
        let unknown = || UserError::Unknown("bob".to_owned());
        for (change, expected) in [
            (UserChange::Add(user("ann")), Ok(())),
            (
                UserChange::Add(user("ann")),
                Err(UserError::Exists("ann".to_owned())),
            ),
            (
                UserChange::Add(user("admin")),
                Err(UserError::Exists("admin".to_owned())),
            ),
            (describe("ann"), Ok(())),
            (describe("bob"), Err(unknown())),
            (describe("admin"), Err(built_in())),
            (password("ann", "other"), Err(UserError::WrongPassword)),
            (password("ann", NOBODY), Ok(())),
            (password("bob", NOBODY), Err(unknown())),
            (password("admin", NOBODY), Err(built_in())),
            (remove("bob"), Err(unknown())),
            (remove("admin"), Err(built_in())),
        ] {
            let what = format!("{change:?}");
            assert_eq!(list.change(change, "admin"), expected, "{what}");
        }
        let ann = list.find("ann").unwrap();
        assert_eq!(
            (ann.role, ann.hash.as_str(), ann.description.as_str()),
            (Role::Administrator, "new", "d")
        );
        assert_eq!(list.change(remove("ann"), "admin"), Ok(()));
        assert_eq!(list, UserList::default());
    }

    #[test]
    fn the_list_is_bounded() {
        let mut list = UserList::default();
        for n in 0..MAX_USERS {
            let add = UserChange::Add(user(&n.to_string()));
            assert_eq!(list.change(add, "admin"), Ok(()));
        }
        let add = UserChange::Add(user("one more"));
        assert_eq!(list.change(add, "admin"), Err(UserError::TooMany));
    }

    #[test]
    fn the_file_reads_back_and_a_wrong_one_is_refused() {
        let mut list = UserList::default();
        for name in ["ann", "böb"] {
            list.change(UserChange::Add(user(name)), "admin").unwrap();
        }
        assert_eq!(UserList::from_json(&list.to_json().unwrap()), Ok(list));
        let row = |name: &str, role: &str, hash: &str| {
            format!(r#"{{"username":"{name}","role":"{role}","hash":"{hash}"}}"#)
        };
        let good = row("ann", "viewer", NOBODY);
        for (rows, part) in [
            (good.clone(), None),
            (format!("{good},{good}"), Some("twice")),
            (row("ann", "root", NOBODY), Some("root")),
            (row("ann", "viewer", "secret"), Some("no argon2 hash")),
            (row("a:b", "viewer", NOBODY), Some("user name")),
            (row("", "viewer", NOBODY), Some("user name")),
        ] {
            let text = format!(r#"{{"version":1,"users":[{rows}]}}"#);
            let error = UserList::from_json(&text).err();
            assert_eq!(error.is_some(), part.is_some(), "{rows} {error:?}");
            assert!(error.unwrap_or_default().contains(part.unwrap_or_default()));
        }
        for text in ["", "[]", "{}", r#"{"version":2,"users":[]}"#] {
            assert!(UserList::from_json(text).is_err(), "{text}");
        }
    }
}
