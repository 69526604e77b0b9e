//! `/api/v4/auth_username`: the users that MQTT clients log in as.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Serialize;

use super::{
    ApiError, ApiState, answer,
    body::{Body, Fields},
    query::Parameters,
    state::ask,
};
use crate::{
    auth::{
        client_users::{
            ClientUserChange, ClientUserError, MAX_PASSWORD, MAX_USERNAME, MAX_USERS, is_password,
            is_username,
        },
        password_hash,
        policy::Policy,
        scram::ScramVerifier,
        verifier::Verifier,
    },
    config::Secret,
    messages::{ChangeClientUsers, GetPolicy},
};

/// A user as lists show it: never with a password or a hash.
#[derive(Serialize)]
struct Row<'a> {
    username: &'a str,
    /// How the password is kept.
    hash: &'static str,
    /// True for a user of the configuration, which only the configuration changes.
    configured: bool,
}

impl<'a> Row<'a> {
    fn new(username: &'a str, verifier: &Verifier, configured: bool) -> Self {
        Self {
            username,
            hash: verifier.kind(),
            configured,
        }
    }
}

/// All users: those of the configuration, then those of the file.
pub async fn list(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::parse(request.query_string())?;
    let paging = parameters.paging()?;
    parameters.finish()?;
    let policy = ask(&state.policy, GetPolicy).await?;
    let rows = rows(&policy);
    let meta = paging.meta(rows.len());
    let shown = (0..).zip(rows).filter(|(before, _)| paging.shows(*before));
    let shown: Vec<Row<'_>> = shown.map(|(_, row)| row).collect();
    Ok(answer::page(shown, meta))
}

fn rows(policy: &Policy) -> Vec<Row<'_>> {
    let users = policy.users();
    let configured = policy.auth().password.iter().filter_map(|(name, _)| {
        let verifier = users.find(name)?;
        Some(Row::new(name, verifier, true))
    });
    let of_file = users
        .file()
        .users()
        .filter(|(name, _)| !users.is_configured(name))
        .map(|(name, verifier)| Row::new(name, verifier, false));
    configured.chain(of_file).collect()
}

/// One user.
pub async fn one(name: Path<String>, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let policy = ask(&state.policy, GetPolicy).await?;
    let name = name.into_inner();
    match policy.users().find(&name) {
        Some(verifier) => {
            let configured = policy.users().is_configured(&name);
            Ok(answer::data(Row::new(&name, verifier, configured)))
        }
        None => Err(ApiError::UnknownClientUser(name)),
    }
}

/// Adds a user; with `"scram": true` one that can authenticate by SCRAM-SHA-256 too.
pub async fn add(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let mut fields = body.object()?;
    let username = fields.required_text("username")?;
    if !is_username(&username) {
        let what = format!(
            "1 to {MAX_USERNAME} bytes without a colon, quote or control character, and no space or # first"
        );
        return Err(fields.wrong("username", what));
    }
    let hash = new_hash(&state, &mut fields).await?;
    change(&state, ClientUserChange::Add { username, hash }).await
}

/// Gives a user another password; connections that logged in with the old one are closed.
pub async fn set_password(
    name: Path<String>,
    state: Data<ApiState>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body.object()?;
    let hash = new_hash(&state, &mut fields).await?;
    let username = name.into_inner();
    change(&state, ClientUserChange::SetPassword { username, hash }).await
}

/// Removes a user; its connections are closed.
pub async fn remove(name: Path<String>, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let username = name.into_inner();
    change(&state, ClientUserChange::Remove { username }).await
}

async fn new_hash(state: &ApiState, fields: &mut Fields) -> Result<Secret, ApiError> {
    let password = fields.required_text("password")?;
    let scram = fields.flag("scram")?.unwrap_or(false);
    if !is_password(&password) {
        let what = format!("1 to {MAX_PASSWORD} bytes without a control character");
        return Err(fields.wrong("password", what));
    }
    let turn = state.access.hashing.turn().await?;
    let hash = turn.run(move || match scram {
        true => ScramVerifier::new(&password)
            .ok()
            .map(|made| made.to_string()),
        false => password_hash::hash(&password).ok(),
    });
    let hash = hash.await?.ok_or(ApiError::NoAnswer)?;
    Ok(Secret::new(hash))
}

async fn change(state: &ApiState, change: ClientUserChange) -> Result<HttpResponse, ApiError> {
    let changed = ask(&state.change_client_users, ChangeClientUsers(change)).await?;
    changed.map_err(|error| match error {
        ClientUserError::Unknown(name) => ApiError::UnknownClientUser(name),
        ClientUserError::Exists(name) => ApiError::ClientUserExists(name),
        ClientUserError::InConfiguration(name) => ApiError::WrongMember {
            name: "username".to_owned(),
            expected: format!("another than {name}, whom auth.password of the configuration has"),
        },
        ClientUserError::TooMany => ApiError::WrongMember {
            name: "username".to_owned(),
            expected: format!("at most {MAX_USERS} users"),
        },
        ClientUserError::NotSaved => ApiError::UsersNotSaved,
    })?;
    Ok(answer::done())
}
