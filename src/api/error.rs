//! What a request that failed is answered with.

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::json;

/// Why a request was not answered with data. Each has a status and one of the specification's result codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No actor answered in time: 500, 102.
    NoAnswer,
    /// No such path: 404, 102.
    UnknownPath(String),
    /// The path has other methods, which `allow` lists: 405, 102.
    MethodNotAllowed {
        /// Value of the header Allow.
        allow: String,
    },
    /// Wrong user name or password: 401, 103.
    WrongCredentials,
    /// No user name or no password: 401, 104.
    NoCredentials,
    /// There is no client with this user name: 404, 105.
    NoSuchUser,
    /// There is no parameter of this name: 400, 108.
    UnknownParameter(String),
    /// A parameter has two values where only one makes sense: 400, 108.
    RepeatedParameter(String),
    /// A parameter's value is not one it can have: 400, 108.
    WrongParameter {
        /// Its name.
        name: &'static str,
        /// What it takes.
        expected: String,
    },
    /// There is no client with this id: 404, 112.
    NoSuchClient,
    /// The token was not signed by whom it should, or says something it must not; what: 401, 103.
    WrongToken(&'static str),
    /// No token: 401, 104.
    NoToken,
    /// The token has no end or is past it: 401, 116.
    ExpiredToken,
    /// The address has had too many failed logins: 429, 103.
    TooManyFailedLogins {
        /// How long it is to wait.
        wait: Duration,
    },
    /// The user may only read: 403, 103.
    NotAllowed,
    /// A web page of another origin made a browser send this: 403, 103.
    ForeignPage,
    /// The API has no user of this name: 404, 105.
    UnknownApiUser(String),
    /// The built-in administrator cannot be deleted: 400, 106.
    BuiltInUser,
    /// The API has a user of this name already: 400, 113.
    UserExists(String),
    /// No client can log in as this user, because there is none: 404, 105.
    UnknownClientUser(String),
    /// There is this user for clients already: 400, 113.
    ClientUserExists(String),
    /// The old password is wrong: 400, 114.
    WrongOldPassword,
    /// The file of users could not be written: 500, 102.
    UsersNotSaved,
    /// The body did not come in time: 408, 109.
    SlowBody,
    /// A member of the body is not there: 400, 107.
    MissingMember(String),
    /// A member of the body is not what it can be: 400, 108.
    WrongMember {
        /// Its name, with that of the object it is in.
        name: String,
        /// What it takes.
        expected: String,
    },
    /// The body is an array of more entries than this: 400, 108.
    TooManyEntries(usize),
    /// The body has more than `http_server.max_body` bytes: 413, 108.
    BodyTooLarge,
    /// The body is not what was expected of it as JSON: 400, 109.
    NotJson(String),
    /// A parameter that is needed is not there: 400, 107.
    MissingParameter(&'static str),
    /// A topic or filter that may not be used: 400, 115.
    IllegalTopic {
        /// Name of the parameter or member.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The broker stops: 503, 102.
    Stopping,
    /// The durable store cannot take what was to be stored: 503, 102.
    NotStored,
    /// There is no such section of the configuration, or no such action: 404, 101.
    NothingCalled(String),
    /// There is no bridge of this name: 404, 108.
    UnknownBridge(String),
    /// Keys of the configuration cannot have the values they were to get; none was changed: 400, 108.
    RefusedKeys(Vec<RefusedKey>),
    /// The configuration has errors, which these lines tell: 400, 108.
    BadConfig(Vec<String>),
    /// The text of a configuration has errors, which these lines tell: 400, 117.
    BadText(Vec<String>),
    /// The configuration file cannot be written: 500, 118.
    NotWritten(String),
}

/// A key of the configuration that cannot have the value it was to get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedKey {
    /// Its name in the request; empty when no single key is to blame.
    pub key: String,
    /// Why not.
    pub message: String,
}

impl ApiError {
    /// The specification's result code.
    pub fn code(&self) -> u16 {
        match self {
            Self::NoAnswer
            | Self::UnknownPath(_)
            | Self::MethodNotAllowed { .. }
            | Self::Stopping
            | Self::NotStored => 102,
            Self::NothingCalled(_) => 101,
            Self::WrongCredentials => 103,
            Self::NoCredentials => 104,
            Self::NoSuchUser => 105,
            Self::MissingMember(_) | Self::MissingParameter(_) => 107,
            Self::WrongToken(_)
            | Self::TooManyFailedLogins { .. }
            | Self::NotAllowed
            | Self::ForeignPage => 103,
            Self::NoToken => 104,
            Self::UnknownApiUser(_) | Self::UnknownClientUser(_) => 105,
            Self::BuiltInUser => 106,
            Self::UserExists(_) | Self::ClientUserExists(_) => 113,
            Self::WrongOldPassword => 114,
            Self::ExpiredToken => 116,
            Self::UsersNotSaved => 102,
            Self::SlowBody => 109,
            Self::UnknownParameter(_) | Self::RepeatedParameter(_) => 108,
            Self::WrongParameter { .. } => 108,
            Self::WrongMember { .. } | Self::TooManyEntries(_) | Self::BodyTooLarge => 108,
            Self::RefusedKeys(_) | Self::BadConfig(_) | Self::UnknownBridge(_) => 108,
            Self::NotJson(_) => 109,
            Self::NoSuchClient => 112,
            Self::IllegalTopic { .. } => 115,
            Self::BadText(_) => 117,
            Self::NotWritten(_) => 118,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("the broker did not answer in time"),
            Self::UnknownPath(path) => write!(f, "{path}: there is no such path"),
            Self::MethodNotAllowed { allow } => write!(f, "the path takes {allow} only"),
            Self::WrongCredentials => f.write_str("wrong user name or password"),
            Self::NoCredentials => f.write_str("a user name and a password are needed"),
            Self::NoSuchUser => f.write_str("no client has this user name"),
            Self::UnknownParameter(name) => write!(f, "{name}: there is no such parameter here"),
            Self::RepeatedParameter(name) => write!(f, "{name}: may be given once only"),
            Self::WrongParameter { name, expected } => write!(f, "{name}: expected {expected}"),
            Self::NoSuchClient => f.write_str("no client has this id"),
            Self::WrongToken(why) => write!(f, "the token: {why}"),
            Self::NoToken => f.write_str("a token is needed"),
            Self::ExpiredToken => f.write_str("the token has expired, or has no exp"),
            Self::TooManyFailedLogins { .. } => f.write_str("too many failed logins"),
            Self::NotAllowed => f.write_str("this needs the role administrator"),
            Self::ForeignPage => f.write_str("pages of another origin may not change anything"),
            Self::UnknownApiUser(name) => write!(f, "{name}: the API has no such user"),
            Self::BuiltInUser => f.write_str("the built-in administrator cannot be deleted"),
            Self::UserExists(name) => write!(f, "{name}: the API has this user already"),
            Self::UnknownClientUser(name) => write!(f, "{name}: there is no such user"),
            Self::ClientUserExists(name) => write!(f, "{name}: there is this user already"),
            Self::WrongOldPassword => f.write_str("old_pwd: wrong password"),
            Self::UsersNotSaved => f.write_str("the users could not be saved; the log says why"),
            Self::SlowBody => f.write_str("the body did not come in time"),
            Self::MissingMember(name) => write!(f, "{name}: missing"),
            Self::WrongMember { name, expected } => write!(f, "{name}: expected {expected}"),
            Self::TooManyEntries(most) => write!(f, "the body has more than {most} entries"),
            Self::BodyTooLarge => f.write_str("the body is larger than http_server.max_body"),
            Self::NotJson(why) => write!(f, "the body: {why}"),
            Self::MissingParameter(name) => write!(f, "{name}: missing"),
            Self::IllegalTopic { name, why } => write!(f, "{name}: {why}"),
            Self::Stopping => f.write_str("the broker is stopping"),
            Self::NotStored => f.write_str("the store cannot take what was to be kept"),
            Self::UnknownBridge(name) => write!(f, "{name}: there is no such bridge"),
            Self::NothingCalled(name) => write!(f, "there is nothing called {name} here"),
            Self::RefusedKeys(keys) => {
                let lines: Vec<String> = keys.iter().map(RefusedKey::line).collect();
                f.write_str(&lines.join("; "))
            }
            Self::BadConfig(lines) | Self::BadText(lines) => f.write_str(&lines.join("; ")),
            Self::NotWritten(why) => {
                write!(f, "the configuration file cannot be written: {why}")
            }
        }
    }
}

impl RefusedKey {
    fn line(&self) -> String {
        match self.key.as_str() {
            "" => self.message.clone(),
            key => format!("{key}: {}", self.message),
        }
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoAnswer | Self::NotWritten(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongCredentials | Self::NoCredentials => StatusCode::UNAUTHORIZED,
            Self::UnknownParameter(_) | Self::RepeatedParameter(_) => StatusCode::BAD_REQUEST,
            Self::WrongParameter { .. } => StatusCode::BAD_REQUEST,
            Self::WrongToken(_) | Self::NoToken | Self::ExpiredToken => StatusCode::UNAUTHORIZED,
            Self::TooManyFailedLogins { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotAllowed | Self::ForeignPage => StatusCode::FORBIDDEN,
            Self::UnknownApiUser(_) | Self::UnknownClientUser(_) => StatusCode::NOT_FOUND,
            Self::BuiltInUser
            | Self::UserExists(_)
            | Self::ClientUserExists(_)
            | Self::WrongOldPassword => StatusCode::BAD_REQUEST,
            Self::UsersNotSaved => StatusCode::INTERNAL_SERVER_ERROR,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::MissingMember(_)
            | Self::WrongMember { .. }
            | Self::TooManyEntries(_)
            | Self::MissingParameter(_)
            | Self::NotJson(_)
            | Self::IllegalTopic { .. }
            | Self::RefusedKeys(_)
            | Self::BadConfig(_)
            | Self::BadText(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NothingCalled(_)
            | Self::UnknownBridge(_)
            | Self::UnknownPath(_)
            | Self::NoSuchUser
            | Self::NoSuchClient => StatusCode::NOT_FOUND,
            Self::Stopping | Self::NotStored => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, allow.as_str()));
            }
            Self::WrongCredentials | Self::NoCredentials => {
                let challenge = r#"Basic realm="nanomq", charset="UTF-8""#;
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            Self::WrongToken(_) | Self::ExpiredToken => {
                let challenge = r#"Bearer realm="nanomq", error="invalid_token""#;
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            Self::NoToken => {
                let challenge = r#"Bearer realm="nanomq""#;
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            Self::TooManyFailedLogins { wait } => {
                // Rounded up, so that who waits that long is let in.
                let seconds = wait.as_secs().saturating_add(1);
                response.insert_header((header::RETRY_AFTER, seconds));
            }
            _ => {}
        }
        let code = self.code();
        response.json(match self {
            // A look-up that found nothing keeps the form of one that did.
            Self::NoSuchUser | Self::NoSuchClient => json!({ "code": code, "data": [] }),
            Self::RefusedKeys(keys) => {
                json!({ "code": code, "message": self.to_string(), "details": keys })
            }
            Self::BadConfig(lines) | Self::BadText(lines) => {
                json!({ "code": code, "message": self.to_string(), "details": lines })
            }
            _ => json!({ "code": code, "message": self.to_string() }),
        })
    }
}
