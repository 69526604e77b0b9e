//! `/api/v4/acl`: what clients may do, and finding out which rule decides.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;

use super::{
    ApiError, ApiState, answer,
    body::{Body, Fields},
    configuration,
    state::ask,
};
use crate::{
    auth::{
        acl::{Action, Subject},
        policy::without_share,
    },
    config::{AclRule, DenyAction, Permit, Secret, Setting},
    messages::{ChangeConfig, GetConfig, GetPolicy, Lasting},
    mqtt::{TopicFilter, TopicName},
};

/// The rules and what surrounds them.
#[derive(Serialize)]
struct Shown<'a> {
    enable: bool,
    no_match: Permit,
    deny_action: DenyAction,
    rules: &'a [AclRule],
}

/// The rules in force.
pub async fn show(state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let config = ask(&state.config, GetConfig).await?;
    let auth = &config.auth;
    Ok(answer::data(Shown {
        enable: auth.acl.enable,
        no_match: auth.no_match,
        deny_action: auth.deny_action,
        rules: &auth.acl.rules,
    }))
}

/// Replaces the rules, in the file and at once; `no_match` and `deny_action` only where they are given.
pub async fn replace(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let mut fields = body.object()?;
    let rules = fields.any("rules");
    let rules = rules.ok_or_else(|| ApiError::MissingMember("rules".to_owned()))?;
    let rules = AclRule::read_all(&rules).map_err(|why| ApiError::WrongMember {
        name: "rules".to_owned(),
        expected: format!("a list of rules; {why}"),
    })?;
    let no_match = word::<Permit>(&mut fields, "no_match", "allow or deny")?;
    let deny_action = word::<DenyAction>(&mut fields, "deny_action", "ignore or disconnect")?;
    // As they are read, so that the file has no more than rules.
    let rules = serde_json::to_string(&rules).map_err(|_| ApiError::NoAnswer)?;
    let mut settings = vec![setting("auth.acl.rules", &rules)];
    settings.extend(no_match.map(|value| setting("auth.no_match", value.as_str())));
    settings.extend(deny_action.map(|value| setting("auth.deny_action", value.as_str())));
    let change = ChangeConfig {
        settings,
        texts: Vec::new(),
        bridges: BTreeMap::new(),
        lasting: Lasting::InFile,
    };
    configuration::changed(ask(&state.change, change).await?, Vec::new())
}

fn setting(key: &'static str, value: &str) -> Setting {
    Setting {
        key,
        value: Secret::new(value),
    }
}

fn word<T: FromStr>(
    fields: &mut Fields,
    name: &str,
    expected: &str,
) -> Result<Option<T>, ApiError> {
    let word = fields.text(name)?.map(|word| word.parse()).transpose();
    word.map_err(|_| fields.wrong(name, expected))
}

/// What would be decided, and by what.
#[derive(Serialize)]
struct Decision<'a> {
    /// None when the HTTP server would be asked.
    allowed: Option<bool>,
    /// `rule`, `no_match` or `http`.
    decided_by: &'static str,
    /// Number of the rule, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<usize>,
    /// The rule itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a AclRule>,
}

/// Says whether a client might do something, and which rule decides. Nobody is asked for it.
pub async fn test(state: Data<ApiState>, body: Body) -> Result<HttpResponse, ApiError> {
    let mut fields = body.object()?;
    let client_id = fields.required_text("clientid")?;
    let username = fields.text("username")?;
    let address = match fields.text("address")? {
        None => Ipv4Addr::UNSPECIFIED.into(),
        Some(text) => text
            .parse::<IpAddr>()
            .map_err(|_| fields.wrong("address", "an IP address"))?,
    };
    let action = match fields.required_text("action")?.as_str() {
        "publish" => Action::Publish,
        "subscribe" => Action::Subscribe,
        _ => return Err(fields.wrong("action", "publish or subscribe")),
    };
    let topic = fields.required_text("topic")?;
    let checked = match action {
        Action::Publish => TopicName::parse(&topic).err(),
        Action::Subscribe => TopicFilter::parse(&topic).err(),
    };
    if let Some(error) = checked {
        return Err(ApiError::IllegalTopic {
            name: "topic".to_owned(),
            why: error.to_string(),
        });
    }
    let policy = ask(&state.policy, GetPolicy).await?;
    let subject = Subject {
        client_id: client_id.into(),
        username: username.map(Into::into),
        address,
        superuser: false,
    };
    let ruling = policy.ruling(&subject, action, without_share(&topic));
    let auth = policy.auth();
    Ok(answer::data(match ruling {
        Some(ruling) => Decision {
            allowed: Some(ruling.allowed),
            decided_by: "rule",
            rule: Some(ruling.rule),
            text: ruling
                .rule
                .checked_sub(1)
                .and_then(|at| auth.acl.rules.get(at)),
        },
        None if policy.asks() => Decision {
            allowed: None,
            decided_by: "http",
            rule: None,
            text: None,
        },
        None => Decision {
            allowed: Some(auth.no_match == Permit::Allow),
            decided_by: "no_match",
            rule: None,
            text: None,
        },
    }))
}
