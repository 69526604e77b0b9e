//! `/api/v4/users` and `/api/v4/change_pwd`: the users of the API.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, ReqData},
};
use serde::Serialize;

use super::{
    ApiError, ApiState, answer,
    authentication::address,
    body::{Body, Fields},
    state::ask,
};
use crate::{
    auth::{
        api_access::Login,
        api_users::{
            ApiUser, MAX_DESCRIPTION, MAX_PASSWORD, MAX_USERNAME, MAX_USERS, Role, UserChange,
            UserError, is_password, is_username,
        },
        password_hash, same,
    },
    config::Config,
    messages::{ChangeApiUsers, GetConfig, ListApiUsers},
};

/// A user as the list shows it: never with a hash.
#[derive(Serialize)]
struct Row<'a> {
    username: &'a str,
    role: &'static str,
    description: &'a str,
    /// True for the administrator of the configuration.
    built_in: bool,
}

/// All users, the built-in administrator first.
pub async fn list(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let config = ask(&state.config, GetConfig).await?;
    let users = ask(&state.access.users, ListApiUsers).await?;
    let built_in = Row {
        username: &config.http_server.username,
        role: Role::Administrator.as_str(),
        description: "built-in administrator",
        built_in: true,
    };
    let others = users.iter().map(|user| Row {
        username: &user.username,
        role: user.role.as_str(),
        description: &user.description,
        built_in: false,
    });
    Ok(answer::data(
        std::iter::once(built_in).chain(others).collect::<Vec<_>>(),
    ))
}

/// Adds a user; without a role it may only read.
pub async fn add(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let mut fields = body.object()?;
    let username = fields.required_text("username")?;
    if !is_username(&username) {
        let what = format!("1 to {MAX_USERNAME} bytes without a colon or control character");
        return Err(fields.wrong("username", what));
    }
    let password = new_password(&mut fields, "password")?;
    let role = role(&mut fields)?.unwrap_or(Role::Viewer);
    let description = description(&mut fields)?.unwrap_or_default();
    let turn = state.access.hashing.turn().await?;
    let hash = turn.run(move || password_hash::hash(&password)).await?;
    let user = ApiUser {
        username,
        role,
        description,
        hash: hash.map_err(|_| ApiError::NoAnswer)?,
    };
    let config = ask(&state.config, GetConfig).await?;
    change(&state, config, UserChange::Add(user)).await
}

/// Gives a user another role or description.
pub async fn describe(
    state: Data<ApiState>,
    path: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let mut fields = body.object()?;
    let (role, description) = (role(&mut fields)?, description(&mut fields)?);
    if role.is_none() && description.is_none() {
        return Err(ApiError::MissingMember("role".to_owned()));
    }
    let config = ask(&state.config, GetConfig).await?;
    let describe = UserChange::Describe {
        username: path.into_inner(),
        role,
        description,
    };
    change(&state, config, describe).await
}

/// Removes a user.
pub async fn remove(state: Data<ApiState>, path: Path<String>) -> Result<HttpResponse, ApiError> {
    let config = ask(&state.config, GetConfig).await?;
    let username = path.into_inner();
    if username == config.http_server.username {
        return Err(ApiError::BuiltInUser);
    }
    change(&state, config, UserChange::Remove { username }).await
}

/// Gives a user another password, for which the old one is needed. A viewer may change its own only.
pub async fn change_password(
    state: Data<ApiState>,
    path: Path<String>,
    login: ReqData<Login>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let username = path.into_inner();
    if login.role != Role::Administrator && login.username != username {
        return Err(ApiError::NotAllowed);
    }
    let mut fields = body.object()?;
    let old = fields.required_text("old_pwd")?;
    let new = new_password(&mut fields, "new_pwd")?;
    let config = ask(&state.config, GetConfig).await?;
    if username == config.http_server.username {
        return Err(built_in());
    }
    let users = ask(&state.access.users, ListApiUsers).await?;
    let user = users.into_iter().find(|user| user.username == username);
    let old_hash = user
        .ok_or_else(|| ApiError::UnknownApiUser(username.clone()))?
        .hash;
    let against = old_hash.clone();
    let turn = state.access.hashing.turn().await?;
    let new_hash = turn
        .run(move || {
            let right = password_hash::verify(&against, &old);
            right.then(|| match same(old.as_bytes(), new.as_bytes()) {
                true => Ok(against),
                false => password_hash::hash(&new),
            })
        })
        .await?;
    let Some(new_hash) = new_hash else {
        let from = address(request.peer_addr());
        state.access.count_failed(config, from).await?;
        return Err(ApiError::WrongOldPassword);
    };
    let set = UserChange::SetPassword {
        username,
        old_hash,
        new_hash: new_hash.map_err(|_| ApiError::NoAnswer)?,
    };
    change(&state, config, set).await
}

async fn change(
    state: &ApiState,
    config: Arc<Config>,
    change: UserChange,
) -> Result<HttpResponse, ApiError> {
    let changed = ask(&state.access.change, ChangeApiUsers { config, change }).await?;
    changed.map_err(|error| match error {
        UserError::Unknown(name) => ApiError::UnknownApiUser(name),
        UserError::Exists(name) => ApiError::UserExists(name),
        UserError::BuiltIn(_) => built_in(),
        UserError::WrongPassword => ApiError::WrongOldPassword,
        UserError::TooMany => ApiError::WrongMember {
            name: "username".to_owned(),
            expected: format!("at most {MAX_USERS} users"),
        },
        UserError::NotSaved => ApiError::UsersNotSaved,
    })?;
    Ok(answer::done())
}

fn built_in() -> ApiError {
    ApiError::WrongMember {
        name: "username".to_owned(),
        expected: "another than the built-in administrator, whom http_server.username and http_server.password of the \
                   configuration describe"
            .to_owned(),
    }
}

fn new_password(fields: &mut Fields, name: &str) -> Result<String, ApiError> {
    let password = fields.required_text(name)?;
    match is_password(&password) {
        true => Ok(password),
        false => {
            let what = format!("1 to {MAX_PASSWORD} bytes without a control character");
            Err(fields.wrong(name, what))
        }
    }
}

fn role(fields: &mut Fields) -> Result<Option<Role>, ApiError> {
    let role = fields.text("role")?.map(|role| role.parse());
    let role = role.transpose();
    role.map_err(|()| fields.wrong("role", "viewer or administrator"))
}

fn description(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let description = fields.text("description")?;
    match description {
        Some(text) if text.len() > MAX_DESCRIPTION => {
            Err(fields.wrong("description", format!("at most {MAX_DESCRIPTION} bytes")))
        }
        other => Ok(other),
    }
}
