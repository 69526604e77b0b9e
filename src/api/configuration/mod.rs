//! `/api/v4/configuration`, `/reload` and `/config_update`: showing and changing the configuration.

mod auth_http;
mod bridge;
mod doors;
mod posted;
mod shown;
mod sqlite;

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    web::{Data, Path, ReqData},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use self::{shown::MASK, sqlite::Sqlite};

use self::{
    posted::name_of,
    shown::{Flat, Reloadable, SECTIONS, Section},
};
use super::{
    ApiError, ApiState, answer,
    body::{Body, RawBody},
    error::RefusedKey,
    state::ask,
};
use crate::{
    auth::{api_access::Login, api_users::Role},
    config::{Config, Problem, Severity},
    messages::{
        ChangeConfig, ChangeRefused, ChangeReport, GetCertificates, GetConfig, GetPending, Lasting,
        ReloadConfig, ReplaceConfig,
    },
};

/// `GET /configuration`: the running configuration, and what waits for a restart.
pub async fn show(state: Data<ApiState>, login: ReqData<Login>) -> Result<HttpResponse, ApiError> {
    let pending = ask(&state.pending, GetPending).await?;
    let config = shown_to(&login, ask(&state.config, GetConfig).await?);
    let texts = ask(&state.certificates, GetCertificates).await?;
    let pending = pending.iter().map(|change| name_of(&change.key).to_owned());
    Ok(answer::data(Flat::new(&config, &texts, pending.collect())))
}

/// `GET /configuration/{section}`: one section, as newer versions have them.
pub async fn show_section(
    name: Path<String>,
    state: Data<ApiState>,
    login: ReqData<Login>,
) -> Result<HttpResponse, ApiError> {
    let config = shown_to(&login, ask(&state.config, GetConfig).await?);
    let texts = ask(&state.certificates, GetCertificates).await?;
    let section = Section::find(&config, &texts, &name);
    let section = section.ok_or_else(|| ApiError::NothingCalled(name.into_inner()))?;
    Ok(answer::data(section))
}

/// `POST /configuration`: changes keys, in the file and where possible at once.
pub async fn change(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let mut data = data_of(body)?.ok_or_else(|| ApiError::MissingMember("data".to_owned()))?;
    // Shown beside the keys, and nothing to change.
    data.remove("pending");
    change_to(&state, data).await
}

/// `POST /configuration/{section}`: changes keys of a section; `data` is the section, or has it as its one member.
pub async fn change_section(
    name: Path<String>,
    state: Data<ApiState>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    if !SECTIONS.contains(&name.as_str()) {
        return Err(ApiError::NothingCalled(name));
    }
    let data = data_of(body)?.ok_or_else(|| ApiError::MissingMember("data".to_owned()))?;
    let data = match data.len() == 1 && data.contains_key(&name) {
        true => data,
        false => Map::from_iter([(name, Value::Object(data))]),
    };
    change_to(&state, data).await
}

async fn change_to(state: &ApiState, data: Map<String, Value>) -> Result<HttpResponse, ApiError> {
    let running = ask(&state.config, GetConfig).await?;
    let texts = ask(&state.certificates, GetCertificates).await?;
    let may_be = posted::postable(&running, &texts);
    let posted = posted::read(&data, &may_be, &running).map_err(ApiError::RefusedKeys)?;
    let change = ChangeConfig {
        settings: posted.settings,
        texts: posted.texts,
        bridges: posted.bridges,
        lasting: Lasting::InFile,
    };
    changed(ask(&state.change, change).await?, posted.ignored)
}

/// `POST /config_update`: the body is the whole new file.
pub async fn replace(state: Data<ApiState>, body: RawBody) -> Result<HttpResponse, ApiError> {
    let text = String::from_utf8(body.0.to_vec())
        .map_err(|_| ApiError::BadText(vec!["it is not UTF-8 text".to_owned()]))?;
    if text.trim().is_empty() {
        return Err(ApiError::BadText(vec!["it is empty".to_owned()]));
    }
    match ask(&state.replace, ReplaceConfig { text }).await? {
        Ok(()) => Ok(HttpResponse::Ok().json(json!({ "code": 0 }))),
        Err(refused) => Err(not_changed(refused)),
    }
}

/// `GET /reload`: what can change while running, as newer versions show it.
pub async fn show_reloadable(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let config = ask(&state.config, GetConfig).await?;
    Ok(answer::data(Reloadable::new(&config)))
}

/// `POST /reload`: without a body reads the configuration anew, with one changes keys until that is done again.
pub async fn reload(state: Data<ApiState>, body: RawBody) -> Result<HttpResponse, ApiError> {
    if body.0.is_empty() {
        let report = ask(&state.reload, ReloadConfig).await?;
        if report.failed() {
            return Err(ApiError::BadConfig(error_lines(&report.problems)));
        }
        let report = ChangeReport {
            applied: report.applied,
            needs_restart: report.needs_restart,
        };
        return Ok(answer_of(report, Vec::new()));
    }
    let data = data_of(body.json()?)?.unwrap_or_default();
    let running = ask(&state.config, GetConfig).await?;
    let may_be = Reloadable::new(&running).to_value();
    let posted = posted::read(&data, &may_be, &running).map_err(ApiError::RefusedKeys)?;
    let change = ChangeConfig {
        settings: posted.settings,
        texts: posted.texts,
        bridges: posted.bridges,
        lasting: Lasting::WhileRunning,
    };
    changed(ask(&state.change, change).await?, posted.ignored)
}

/// The object `data` of a body; none when it is not there.
fn data_of(body: Body) -> Result<Option<Map<String, Value>>, ApiError> {
    match body.object()?.any("data") {
        None => Ok(None),
        Some(Value::Object(data)) => Ok(Some(data)),
        Some(_) => Err(ApiError::WrongMember {
            name: "data".to_owned(),
            expected: "an object".to_owned(),
        }),
    }
}

/// The configuration as a user may see it: the passwords in it are for those who may change them.
fn shown_to(login: &Login, config: Arc<Config>) -> Arc<Config> {
    match login.role {
        Role::Administrator => config,
        Role::Viewer => {
            let mut config = Arc::unwrap_or_clone(config);
            config.http_server.hide_secrets = true;
            Arc::new(config)
        }
    }
}

/// The answer to a change; `ignored` are the posted keys of what is not built yet.
pub fn changed(
    changed: Result<ChangeReport, ChangeRefused>,
    ignored: Vec<String>,
) -> Result<HttpResponse, ApiError> {
    if !ignored.is_empty() {
        log::warn!(
            "keys of what is not built yet were posted and are ignored: {}",
            ignored.join(", ")
        );
    }
    changed
        .map(|report| answer_of(report, ignored))
        .map_err(not_changed)
}

/// What a change did, with the names of the flat object.
fn answer_of(report: ChangeReport, ignored: Vec<String>) -> HttpResponse {
    #[derive(Serialize)]
    struct Changed {
        code: u16,
        applied: Vec<String>,
        needs_restart: Vec<String>,
        /// Keys of what is not built yet.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        ignored: Vec<String>,
    }
    let names = |keys: Vec<String>| keys.iter().map(|key| name_of(key).to_owned()).collect();
    HttpResponse::Ok().json(Changed {
        code: 0,
        applied: names(report.applied),
        needs_restart: names(report.needs_restart),
        ignored,
    })
}

fn not_changed(refused: ChangeRefused) -> ApiError {
    match refused {
        ChangeRefused::Keys(keys) => {
            let keys = keys.into_iter().map(|refusal| RefusedKey {
                key: name_of(&refusal.key).to_owned(),
                message: refusal.why,
            });
            ApiError::RefusedKeys(keys.collect())
        }
        ChangeRefused::Text(problems) => ApiError::BadText(error_lines(&problems)),
        ChangeRefused::NoFile => ApiError::RefusedKeys(vec![RefusedKey {
            key: String::new(),
            message: "there is no configuration file".to_owned(),
        }]),
        ChangeRefused::NotWritten(why) => ApiError::NotWritten(why),
    }
}

/// The errors among problems, a line each.
pub fn error_lines(problems: &[Problem]) -> Vec<String> {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    errors.map(ToString::to_string).collect()
}

/// The settings that members of a posted configuration come to.
#[cfg(fuzzing)]
pub fn settings_of(
    posted: Map<String, Value>,
    running: &Config,
) -> Result<Vec<crate::config::Setting>, ApiError> {
    let may_be = posted::postable(running, &Default::default());
    let posted = posted::read(&posted, &may_be, running).map_err(ApiError::RefusedKeys)?;
    Ok(posted.settings)
}
