//! The section `auth_http`: the requests that ask an HTTP server about clients.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{doors::Tls, shown::MASK};
use crate::{
    config::{AuthRequest, Config, HttpServer},
    messages::{CertificateTexts, PemTexts},
};

/// The requests, as newer versions of NanoMQ show them.
#[derive(Serialize)]
pub struct AuthHttp<'a> {
    /// True when any request is sent.
    enable: bool,
    /// Seconds.
    timeout: f64,
    /// Seconds.
    connect_timeout: f64,
    pool_size: usize,
    /// Seconds.
    cache_ttl: u64,
    auth_req: Request<'a>,
    acl_req: Request<'a>,
    super_req: Request<'a>,
}

/// A request that is sent to ask whether a client may do something.
#[derive(Serialize)]
struct Request<'a> {
    url: Option<&'a str>,
    method: Option<&'static str>,
    headers: BTreeMap<&'a str, &'a str>,
    params: Vec<Parameter<'a>>,
    tls: Tls,
}

#[derive(Serialize)]
struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> AuthHttp<'a> {
    /// As it is in force.
    pub fn new(config: &'a Config, texts: &CertificateTexts) -> Self {
        let http = &config.auth.http_auth;
        let server = &config.http_server;
        let requests = [&http.auth_req, &http.acl_req, &http.super_req];
        let CertificateTexts {
            auth_req,
            acl_req,
            super_req,
            ..
        } = texts;
        let auth_req = Request::new(&http.auth_req, auth_req, server);
        let acl_req = Request::new(&http.acl_req, acl_req, server);
        let super_req = Request::new(&http.super_req, super_req, server);
        Self {
            enable: http.enable && requests.iter().any(|request| !request.url.is_empty()),
            timeout: seconds(http.timeout),
            connect_timeout: seconds(http.connect_timeout),
            pool_size: http.pool_size,
            cache_ttl: http.cache_ttl.as_secs(),
            auth_req,
            acl_req,
            super_req,
        }
    }
}

impl<'a> Request<'a> {
    fn new(request: &'a AuthRequest, texts: &PemTexts, server: &HttpServer) -> Self {
        let hide = server.hide_secrets;
        let is_sent = !request.url.is_empty();
        // A header may be a password of the server.
        let headers = request.headers.iter().map(|(name, value)| {
            let value = if hide { MASK } else { value };
            (name.as_str(), value)
        });
        Self {
            url: is_sent.then_some(&*request.url),
            method: is_sent.then_some(request.method.as_str()),
            headers: headers.collect(),
            params: request
                .params
                .iter()
                .map(|(name, value)| Parameter { name, value })
                .collect(),
            tls: Tls::of_request(&request.tls, server, texts),
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
