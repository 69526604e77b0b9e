//! Who may use the API: Basic authentication (RFC 7617) of the built-in administrator and the further users, or JSON web
//! tokens (RFC 6750).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
    web::Data,
};
use actix_web_httpauth::headers::authorization::{Basic, Scheme};

use super::{ApiError, ApiState, state::ask};
use crate::{
    auth::{
        api_access::{Attempt, Login},
        api_users::Role,
    },
    config::{HttpAuth, HttpServer, Secret},
    messages::GetConfig,
};

/// What only looks, although it is a POST.
const TEST_ACL: &str = "/api/v4/acl/test";
/// Where users change their own passwords, viewers too.
const CHANGE_PASSWORD: &str = "/api/v4/change_pwd/";

/// Lets a request through to the routes if its user may do what it asks. Handlers find the user as
/// [`ReqData`](actix_web::web::ReqData) of a [`Login`].
pub async fn authenticate(
    state: Data<ApiState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let found = match find_login(&state, &request).await {
        Ok(login) if !may(&login, &request) => Err(ApiError::NotAllowed),
        Ok(_) if changes(&request) && is_foreign(request.headers()) => Err(ApiError::ForeignPage),
        Ok(login) => Ok(login),
        Err(error) => Err(error),
    };
    match found {
        Ok(login) => {
            request.extensions_mut().insert(login);
            let response = next.call(request).await?;
            Ok(response.map_into_left_body())
        }
        Err(error) => Ok(request.error_response(error).map_into_right_body()),
    }
}

async fn find_login(state: &ApiState, request: &ServiceRequest) -> Result<Login, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION);
    let address = address(request.peer_addr());
    match state.auth_type {
        HttpAuth::NoAuth => Ok(Login {
            username: String::new(),
            role: Role::Administrator,
        }),
        HttpAuth::Basic => {
            let attempt = read_basic(address, given);
            let config = ask(&state.config, GetConfig).await?;
            match attempt {
                Ok(attempt) => state.access.log_in(config, attempt).await,
                Err(ApiError::WrongCredentials) => {
                    state.access.count_failed(config, address).await?;
                    Err(ApiError::WrongCredentials)
                }
                Err(error) => Err(error),
            }
        }
        HttpAuth::Jwt => {
            let token = read_bearer(given)?;
            let config = ask(&state.config, GetConfig).await?;
            state.access.check_token(config, address, token).await
        }
    }
}

/// Whether a user may send a request. The handler of [`CHANGE_PASSWORD`] looks at whose password it is.
fn may(login: &Login, request: &ServiceRequest) -> bool {
    let own_password =
        *request.method() == Method::PUT && request.path().starts_with(CHANGE_PASSWORD);
    match login.role {
        Role::Administrator => true,
        Role::Viewer => {
            let looks = request.path().trim_end_matches('/') == TEST_ACL;
            !changes(request) || own_password || looks
        }
    }
}

fn changes(request: &ServiceRequest) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method())
}

/// Whether a web page of somebody else made a browser send a request. The browser adds the credentials it knows, and as
/// no Content-Type is asked for, not even a preflight would stop it. Programs send neither header.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !["same-origin", "none"].contains(&site),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != text("host")
        }
        (None, None) => false,
    }
}

/// The address that failed logins are counted for.
pub fn address(peer: Option<SocketAddr>) -> IpAddr {
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip())
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

fn read_basic(address: IpAddr, given: Option<&HeaderValue>) -> Result<Attempt, ApiError> {
    let credentials = credentials(given, "basic")?.ok_or(ApiError::NoCredentials)?;
    // The parser knows one spelling of the scheme, which is case-insensitive.
    let header = HeaderValue::try_from(format!("Basic {credentials}"))
        .map_err(|_| ApiError::WrongCredentials)?;
    let basic = Basic::parse(&header).map_err(|_| ApiError::WrongCredentials)?;
    let password = basic.password().unwrap_or("");
    if basic.user_id().is_empty() || password.is_empty() {
        return Err(ApiError::NoCredentials);
    }
    Ok(Attempt {
        address,
        username: basic.user_id().to_owned(),
        password: Secret::new(password),
    })
}

fn read_bearer(given: Option<&HeaderValue>) -> Result<&str, ApiError> {
    let token = credentials(given, "bearer").map_err(|_| ApiError::NoToken)?;
    token.ok_or(ApiError::NoToken)
}

/// What stands behind a scheme; none when it is another scheme or nothing stands there.
fn credentials<'a>(
    given: Option<&'a HeaderValue>,
    scheme: &str,
) -> Result<Option<&'a str>, ApiError> {
    let Some(given) = given else {
        return Ok(None);
    };
    let text = given.to_str().map_err(|_| ApiError::WrongCredentials)?;
    let (name, credentials) = text.split_once(' ').unwrap_or((text, ""));
    let credentials = credentials.trim();
    let found = name.eq_ignore_ascii_case(scheme) && !credentials.is_empty();
    Ok(found.then_some(credentials))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read() {
        let address = address(None);
        let (wrong, none) = (
            Err(ApiError::WrongCredentials),
            Err(ApiError::NoCredentials),
        );
        for (header, expected) in [
            (Some("Basic YWRtaW46cHVibGlj"), Ok(("admin", "public"))),
            (Some("basic YWRtaW46cHVibGlj"), Ok(("admin", "public"))),
            (Some("BASIC  YWRtaW46cHVibGlj"), Ok(("admin", "public"))),
            (Some("Basic YTpiOmM="), Ok(("a", "b:c"))),
            (Some("Basic %%%"), wrong.clone()),
            (Some("Basic /////w=="), wrong.clone()), // not UTF-8
            (Some("Basic YWRtaW4="), wrong.clone()), // admin
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
            let found = read_basic(address, value.as_ref());
            let found = found.as_ref().map(|attempt| {
                let password = attempt.password.expose();
                (attempt.username.as_str(), password)
            });
            assert_eq!(found.map_err(Clone::clone), expected, "{header:?}");
        }
    }

    #[test]
    fn tokens_are_read() {
        for (header, expected) in [
            (Some("Bearer a.b.c"), Ok("a.b.c")),
            (Some("bearer  a.b.c "), Ok("a.b.c")),
            (Some("Bearer "), Err(ApiError::NoToken)),
            (Some("Bearer"), Err(ApiError::NoToken)),
            (Some("Basic YWRtaW46cHVibGlj"), Err(ApiError::NoToken)),
            (None, Err(ApiError::NoToken)),
        ] {
            let value = header.map(HeaderValue::from_static);
            assert_eq!(read_bearer(value.as_ref()), expected, "{header:?}");
        }
    }
}
