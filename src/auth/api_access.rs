//! Who a request to the HTTP API comes from, by user name and password.
//!
//! The built-in administrator is compared with the configuration. Of the other users only hashes are known, which take
//! long to check; so a password that was right once is remembered:
//!
//! ```text
//! begin --+--> Refused   the address has failed too often
//!         +--> Known     built in, or remembered
//!         +--> Wrong     there is nobody else it could be
//!         `--> Check     hold the password against this hash, elsewhere, and tell finish
//! ```

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    api_users::{ApiUser, Role, UserList},
    failed_logins::{FailedLogins, LoginLimit},
    password_hash,
    remembered::RememberedPasswords,
    same,
};
use crate::config::{HttpServer, Secret};

/// A user name and a password that came with a request.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where it came from.
    pub address: IpAddr,
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Whom a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user's name; empty where nobody is asked and in a token that names nobody.
    pub username: String,
    /// What the user may do.
    pub role: Role,
}

/// What is to be done about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginStep {
    /// Nothing for this long: the address has failed too often.
    Refused(Duration),
    /// Let it in.
    Known(Login),
    /// Turn it away.
    Wrong,
    /// Hold the password against this hash.
    Check(String),
}

/// See the module's description.
pub struct ApiAccess {
    users: UserList,
    failed: FailedLogins,
    /// Held against the hashes of `users`.
    verified: RememberedPasswords<String>,
}

impl ApiAccess {
    /// Starts with the users of the file.
    pub fn new(users: UserList) -> Self {
        Self {
            users,
            failed: FailedLogins::default(),
            verified: RememberedPasswords::default(),
        }
    }

    /// The users beside the built-in one.
    pub fn users(&self) -> &UserList {
        &self.users
    }

    /// Replaces the users. Passwords of users who are gone or have another one now are forgotten.
    pub fn set_users(&mut self, users: UserList) {
        self.users = users;
        self.verified.retain(|name, hash| {
            let user = self.users.find(name);
            user.is_some_and(|user| user.hash == *hash)
        });
    }

    /// Whether an address may try to log in.
    ///
    /// # Errors
    /// How long it may not.
    pub fn check_address(
        &self,
        http: &HttpServer,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), Duration> {
        self.failed.check(address, limit(http), now)
    }

    /// Counts a failed login.
    pub fn count_failed(&mut self, http: &HttpServer, address: IpAddr, now: Instant) {
        self.failed.count(address, limit(http), now);
    }

    /// The first step of a login. A failure it finds is counted already.
    pub fn begin(&mut self, http: &HttpServer, attempt: &Attempt, now: Instant) -> LoginStep {
        // Right credentials are refused too: an answer to them would tell them apart from guesses.
        if let Err(left) = self.check_address(http, attempt.address, now) {
            return LoginStep::Refused(left);
        }
        let password = attempt.password.expose().as_bytes();
        // Both are compared, so that the time does not tell which is wrong.
        let name_matches = same(http.username.as_bytes(), attempt.username.as_bytes());
        let password_matches = same(http.password.expose().as_bytes(), password);
        if name_matches & password_matches {
            return LoginStep::Known(Login {
                username: attempt.username.clone(),
                role: Role::Administrator,
            });
        }
        if self.users.as_slice().is_empty() {
            self.count_failed(http, attempt.address, now);
            return LoginStep::Wrong;
        }
        match self.user(http, &attempt.username) {
            Some(user) if self.verified.knows(&user.username, &user.hash, password) => {
                LoginStep::Known(login(user))
            }
            Some(user) => LoginStep::Check(user.hash.clone()),
            None => LoginStep::Check(password_hash::NOBODY.to_owned()),
        }
    }

    /// The second step: the password was `right` for the hash that [`ApiAccess::begin`] named, or not.
    pub fn finish(
        &mut self,
        http: &HttpServer,
        attempt: &Attempt,
        hash: &str,
        right: bool,
        now: Instant,
    ) -> Option<Login> {
        let user = self.user(http, &attempt.username);
        match user.filter(|user| right && user.hash == hash) {
            Some(user) => {
                let found = login(user);
                let password = attempt.password.expose().as_bytes();
                self.verified
                    .add(attempt.username.clone(), hash.to_owned(), password);
                Some(found)
            }
            None => {
                self.count_failed(http, attempt.address, now);
                None
            }
        }
    }

    /// A user of the list. One who has the name of the built-in administrator, which the configuration can bring about,
    /// is not there.
    fn user(&self, http: &HttpServer, username: &str) -> Option<&ApiUser> {
        let user = self.users.find(username);
        user.filter(|user| user.username != http.username)
    }
}

fn login(user: &ApiUser) -> Login {
    Login {
        username: user.username.clone(),
        role: user.role,
    }
}

fn limit(http: &HttpServer) -> LoginLimit {
    LoginLimit {
        most: http.max_failed_logins,
        window: http.failed_login_window,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{api_users::UserChange, password_hash::NOBODY};

    fn attempt(username: &str, password: &str) -> Attempt {
        Attempt {
            address: "10.0.0.1".parse().unwrap(),
            username: username.to_owned(),
            password: Secret::new(password),
        }
    }

    fn user(username: &str, hash: &str) -> ApiUser {
        ApiUser {
            username: username.to_owned(),
            role: Role::Viewer,
            description: String::new(),
            hash: hash.to_owned(),
        }
    }

    fn list(users: &[ApiUser]) -> UserList {
        let mut list = UserList::default();
        for user in users {
            list.change(UserChange::Add(user.clone()), "").unwrap();
        }
        list
    }

    fn known(username: &str, role: Role) -> LoginStep {
        LoginStep::Known(Login {
            username: username.to_owned(),
            role,
        })
    }

    #[test]
    fn the_first_step_knows_whom_it_knows() {
        let (http, now) = (HttpServer::default(), Instant::now());
        let administrator = known("admin", Role::Administrator);
        let check = |hash: &str| LoginStep::Check(hash.to_owned());
        let (none, some) = (list(&[]), list(&[user("ann", "h1"), user("admin", "h2")]));
        for (users, name, password, expected) in [
            (&none, "admin", "public", administrator.clone()),
            (&none, "admin", "publi", LoginStep::Wrong),
            (&none, "ann", "x", LoginStep::Wrong),
            (&some, "admin", "public", administrator),
            // Somebody with the built-in name cannot log in with a hash, and costs what an unknown user costs.
            (&some, "admin", "x", check(NOBODY)),
            (&some, "ann", "x", check("h1")),
            (&some, "bob", "x", check(NOBODY)),
            (&some, "", "", check(NOBODY)),
        ] {
            let mut access = ApiAccess::new(users.clone());
            let step = access.begin(&http, &attempt(name, password), now);
            assert_eq!(step, expected, "{name} {password}");
        }
    }

    #[test]
    fn a_password_is_remembered_until_it_changes() {
        let (http, now) = (HttpServer::default(), Instant::now());
        let right = attempt("ann", "x");
        let check = LoginStep::Check("h1".to_owned());
        let mut access = ApiAccess::new(list(&[user("ann", "h1")]));
        assert_eq!(access.begin(&http, &right, now), check);
        assert!(access.finish(&http, &right, "h1", true, now).is_some());
        assert_eq!(access.begin(&http, &right, now), known("ann", Role::Viewer));
        assert_eq!(access.begin(&http, &attempt("ann", "y"), now), check);
        // A wrong one does not make the right one forgotten.
        let wrong = access.finish(&http, &attempt("ann", "y"), "h1", false, now);
        assert_eq!(wrong, None);
        assert_eq!(access.begin(&http, &right, now), known("ann", Role::Viewer));
        // Another role holds at once, another password too.
        let mut promoted = user("ann", "h1");
        promoted.role = Role::Administrator;
        access.set_users(list(&[promoted]));
        assert_eq!(
            access.begin(&http, &right, now),
            known("ann", Role::Administrator)
        );
        access.set_users(list(&[user("ann", "h2")]));
        assert_eq!(
            access.begin(&http, &right, now),
            LoginStep::Check("h2".to_owned())
        );
        access.set_users(list(&[user("ann", "h1")]));
        assert_eq!(access.begin(&http, &right, now), check);
    }

    #[test]
    fn a_password_that_changed_during_the_check_does_not_let_in() {
        let (http, now) = (HttpServer::default(), Instant::now());
        let mut access = ApiAccess::new(list(&[user("ann", "h1")]));
        for (users, hash) in [
            (list(&[user("ann", "h2")]), "h1"),
            (list(&[]), "h1"),
            (list(&[user("ann", "h1")]), NOBODY),
        ] {
            access.set_users(users);
            let found = access.finish(&http, &attempt("ann", "x"), hash, true, now);
            assert_eq!(found, None, "{hash}");
        }
    }

    #[test]
    fn too_many_failures_refuse_the_address_whatever_it_sends() {
        let http = HttpServer {
            max_failed_logins: 2,
            ..HttpServer::default()
        };
        let now = Instant::now();
        let refused = LoginStep::Refused(Duration::from_secs(60));
        let mut access = ApiAccess::new(list(&[user("ann", "h1")]));
        let guess = attempt("ann", "y");
        for _ in 0..2 {
            assert_eq!(
                access.begin(&http, &guess, now),
                LoginStep::Check("h1".to_owned())
            );
            access.finish(&http, &guess, "h1", false, now);
        }
        for sent in [guess, attempt("admin", "public")] {
            assert_eq!(access.begin(&http, &sent, now), refused);
        }
        let later = now + Duration::from_secs(60);
        let step = access.begin(&http, &attempt("admin", "public"), later);
        assert_eq!(step, known("admin", Role::Administrator));
    }
}
