//! Who may use the API: Basic authentication (RFC 7617) with the user name and password of the configuration.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderValue},
    middleware::Next,
    web::Data,
};
use actix_web_httpauth::headers::authorization::{Basic, Scheme};

use super::{ApiError, ApiState, state::ask};
use crate::{
    auth::same,
    config::{HttpAuth, HttpServer},
    messages::GetConfig,
};

/// Lets a request through to the routes. The credentials are those of the configuration as it runs now.
pub async fn authenticate(
    state: Data<ApiState>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if state.auth_type == HttpAuth::Basic {
        let config = ask(&state.config, GetConfig).await?;
        let given = request.headers().get(header::AUTHORIZATION);
        check_basic(&config.http_server, given)?;
    }
    next.call(request).await
}

/// Says at the start what is wrong with the credentials; `exposed` when other machines reach the API.
pub fn warn_of_weakness(config: &HttpServer, exposed: bool) {
    let default = config.username == "admin" && config.password.expose() == "public";
    match (config.auth_type, exposed) {
        (HttpAuth::NoAuth, true) => log::warn!(
            "ANYBODY WHO REACHES THE HTTP API MAY USE IT: http_server.auth_type is no_auth and {} is not a loopback address",
            config.ip_addr
        ),
        (HttpAuth::Basic, true) if default => log::warn!(
            "ANYBODY WHO REACHES THE HTTP API CAN LOG IN: the user name and password are the well-known admin and public, and {} is not a \
             loopback address; set http_server.username and http_server.password",
            config.ip_addr
        ),
        (HttpAuth::Basic, false) if default => log::warn!(
            "the HTTP API has the well-known user name admin and password public; set http_server.username and http_server.password"
        ),
        _ => {}
    }
}

fn check_basic(config: &HttpServer, given: Option<&HeaderValue>) -> Result<(), ApiError> {
    let given = given.ok_or(ApiError::NoCredentials)?;
    let text = given.to_str().map_err(|_| ApiError::WrongCredentials)?;
    let (scheme, credentials) = text.split_once(' ').unwrap_or((text, ""));
    let credentials = credentials.trim();
    if !scheme.eq_ignore_ascii_case("basic") || credentials.is_empty() {
        return Err(ApiError::NoCredentials);
    }
    // The parser knows one spelling of the scheme, which is case-insensitive.
    let header = HeaderValue::try_from(format!("Basic {credentials}"))
        .map_err(|_| ApiError::WrongCredentials)?;
    let basic = Basic::parse(&header).map_err(|_| ApiError::WrongCredentials)?;
    let password = basic.password().unwrap_or("");
    // Both are compared, so that the time does not tell which is wrong.
    let user_matches = same(config.username.as_bytes(), basic.user_id().as_bytes());
    let password_matches = same(config.password.expose().as_bytes(), password.as_bytes());
    match user_matches & password_matches {
        true => Ok(()),
        false if basic.user_id().is_empty() || password.is_empty() => Err(ApiError::NoCredentials),
        false => Err(ApiError::WrongCredentials),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_checked() {
        let config = HttpServer::default();
        let (wrong, none) = (
            Err(ApiError::WrongCredentials),
            Err(ApiError::NoCredentials),
        );
        for (header, expected) in [
            (Some("Basic YWRtaW46cHVibGlj"), Ok(())), // admin:public
            (Some("basic YWRtaW46cHVibGlj"), Ok(())),
            (Some("BASIC  YWRtaW46cHVibGlj"), Ok(())),
            (Some("Basic YWRtaW46cHVibGljeA=="), wrong.clone()), // admin:publicx
            (Some("Basic YWRtaW46cHVibGk="), wrong.clone()),     // admin:publi
            (Some("Basic YWRtaW5pOnB1YmxpYw=="), wrong.clone()), // admini:public
            (Some("Basic YWRtaW4="), wrong.clone()),             // admin
            (Some("Basic %%%"), wrong.clone()),
            (Some("Basic /////w=="), wrong.clone()), // not UTF-8
            (Some("Basic YWRtaW46"), none.clone()),  // admin:
            (Some("Basic OnB1YmxpYw=="), none.clone()), // :public
            (Some("Basic "), none.clone()),
            (Some("Basic"), none.clone()),
            (Some("Bearer YWRtaW46cHVibGlj"), none.clone()),
            (Some("BasicYWRtaW46cHVibGlj"), none.clone()),
            (Some(""), none.clone()),
            (None, none.clone()),
        ] {
            let value = header.map(HeaderValue::from_static);
            assert_eq!(check_basic(&config, value.as_ref()), expected, "{header:?}");
        }
    }
}
