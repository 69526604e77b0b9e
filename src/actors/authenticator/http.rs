//! Asks the HTTP server: a bounded number of requests at once, the others wait in a bounded queue, and everything has an
//! end. Whatever goes wrong denies.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::Arc,
    time::Duration,
};

use reqwest::{Certificate, Client, Identity, header::CONTENT_TYPE, redirect};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::passwords::Waiting;
use crate::{
    auth::{
        http_request::{Built, Facts, build},
        policy::Policy,
    },
    config::{AuthRequest, RequestTls},
    messages::HttpAnswer,
    stats::{Counters, Metric},
    transport::{BadCertificate, ClientTls},
};

/// Bytes of an answer's body that are read. What it says does not matter; reading it lets the connection be used again.
const MAX_BODY: usize = 64 << 10;

pub(super) struct Http {
    counters: Arc<Counters>,
    pool: RefCell<Option<Pool>>,
    /// Turns of questions that nobody waits for, and the size of the pool that they were made for.
    background: RefCell<Option<(usize, Arc<Semaphore>)>>,
    waiting: Cell<usize>,
    /// The last request had no usable answer: said once.
    failing: Cell<bool>,
}

/// The clients, as long as what they were made with is the same.
struct Pool {
    size: usize,
    connect_timeout: Duration,
    /// One for each way to speak TLS.
    clients: Vec<Speaker>,
    turns: Arc<Semaphore>,
}

/// A client that speaks TLS in one way.
struct Speaker {
    tls: RequestTls,
    /// Of the policy for which its files were read.
    version: u64,
    client: Client,
}

/// Most clients: one for each kind of request, and those of the policy before.
const SPEAKERS: usize = 6;

/// Why there is no usable answer.
enum Failure {
    Late,
    NotSent,
    TooLarge,
    Status(u16),
    Request(reqwest::Error),
    Certificate(BadCertificate),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late => f.write_str("no answer within auth.http_auth.timeout"),
            Self::NotSent => f.write_str("auth.http_auth.max_waiting requests are waiting"),
            Self::Certificate(bad) => bad.fmt(f),
            Self::TooLarge => write!(f, "an answer of more than {MAX_BODY} bytes"),
            Self::Status(status) => write!(f, "status {status}"),
            // Without the URL, whose query may have a password in it.
            Self::Request(error) if error.is_connect() => f.write_str("cannot connect"),
            Self::Request(error) if error.is_timeout() => f.write_str("no answer in time"),
            Self::Request(error) if error.is_builder() => f.write_str("the request cannot be made"),
            Self::Request(_) => f.write_str("no answer that HTTP knows"),
        }
    }
}

impl Http {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            counters,
            pool: RefCell::default(),
            background: RefCell::default(),
            waiting: Cell::new(0),
            failing: Cell::new(false),
        }
    }

    /// Ends when there is time for a question that nobody waits for; it is held while that is asked.
    pub(super) async fn background_turn(&self, policy: &Policy) -> Option<OwnedSemaphorePermit> {
        let size = policy.auth().http_auth.pool_size;
        let turns = {
            let mut background = self.background.borrow_mut();
            if background.as_ref().is_none_or(|(of, _)| *of != size) {
                *background = Some((size, Arc::new(Semaphore::new((size / 2).max(1)))));
            }
            background.as_ref().map(|(_, turns)| turns.clone())?
        };
        turns.acquire_owned().await.ok()
    }

    /// Whether the server says yes, by a status of 200 to 299.
    pub(super) async fn ask(
        &self,
        policy: &Policy,
        request: &AuthRequest,
        facts: &Facts,
    ) -> HttpAnswer {
        match self.try_ask(policy, request, facts).await {
            Ok(allowed) => {
                if self.failing.replace(false) {
                    log::info!("the HTTP authentication server answers again");
                }
                HttpAnswer {
                    allowed,
                    failed: false,
                }
            }
            Err(failure) => {
                self.counters.add(
                    match failure {
                        Failure::NotSent => Metric::AuthRequestsNotSent,
                        _ => Metric::AuthRequestsFailed,
                    },
                    1,
                );
                if !self.failing.replace(true) {
                    log::warn!(
                        "HTTP authentication: {failure}; clients are denied until it answers"
                    );
                }
                HttpAnswer::FAILED
            }
        }
    }

    async fn try_ask(
        &self,
        policy: &Policy,
        request: &AuthRequest,
        facts: &Facts,
    ) -> Result<bool, Failure> {
        let http = &policy.auth().http_auth;
        let (client, turns) = self.client(policy, &request.tls)?;
        if turns.available_permits() == 0 && self.waiting.get() >= http.max_waiting {
            return Err(Failure::NotSent);
        }
        let asked = timeout(http.timeout, async {
            let turn = {
                let _waiting = Waiting::begin(&self.waiting);
                turns.acquire().await.map_err(|_| Failure::NotSent)?
            };
            self.counters.add(Metric::AuthRequestsSent, 1);
            let allowed = send(&client, build(request, facts)).await;
            drop(turn);
            allowed
        });
        asked.await.unwrap_or(Err(Failure::Late))
    }

    /// The client for a way to speak TLS, and the turns of all. Its files are read when it is made, and anew for a newer
    /// policy.
    fn client(
        &self,
        policy: &Policy,
        tls: &RequestTls,
    ) -> Result<(Client, Arc<Semaphore>), Failure> {
        let http = &policy.auth().http_auth;
        let (size, connect_timeout) = (http.pool_size, http.connect_timeout);
        let mut pool = self.pool.borrow_mut();
        if pool
            .as_ref()
            .is_none_or(|pool| (pool.size, pool.connect_timeout) != (size, connect_timeout))
        {
            *pool = None;
        }
        let pool = pool.get_or_insert_with(|| Pool {
            size,
            connect_timeout,
            clients: Vec::new(),
            turns: Arc::new(Semaphore::new(size)),
        });
        let is_usable = |speaker: &&Speaker| {
            speaker.tls == *tls && (tls.is_default() || speaker.version >= policy.version)
        };
        if let Some(speaker) = pool.clients.iter().find(is_usable) {
            return Ok((speaker.client.clone(), pool.turns.clone()));
        }
        let client = make_client(tls, size, connect_timeout)?;
        pool.clients.retain(|speaker| speaker.tls != *tls);
        if pool.clients.len() >= SPEAKERS {
            pool.clients.remove(0);
        }
        pool.clients.push(Speaker {
            tls: tls.clone(),
            version: policy.version,
            client: client.clone(),
        });
        Ok((client, pool.turns.clone()))
    }
}

fn make_client(
    tls: &RequestTls,
    size: usize,
    connect_timeout: Duration,
) -> Result<Client, Failure> {
    // Somebody else may have done it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let read = ClientTls::read(tls).map_err(Failure::Certificate)?;
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(connect_timeout)
        .pool_max_idle_per_host(size)
        .user_agent(concat!("nanomq/", env!("CARGO_PKG_VERSION")));
    if !read.authorities.is_empty() {
        let authorities = read.authorities.iter();
        let authorities: Result<Vec<Certificate>, _> = authorities
            .map(|authority| Certificate::from_der(authority))
            .collect();
        builder = builder.tls_certs_only(authorities.map_err(Failure::Request)?);
    }
    if let Some(pem) = read.identity {
        builder = builder.identity(Identity::from_pem(&pem).map_err(Failure::Request)?);
    }
    builder.build().map_err(Failure::Request)
}

async fn send(client: &Client, built: Built) -> Result<bool, Failure> {
    let mut request = match &built.body {
        Some(_) => client.post(&built.url),
        None => client.get(&built.url),
    };
    for (name, value) in &built.headers {
        request = request.header(name, value);
    }
    if let Some((kind, text)) = built.body {
        request = request.header(CONTENT_TYPE, kind).body(text);
    }
    let mut response = request.send().await.map_err(Failure::Request)?;
    let mut read = 0;
    while let Some(chunk) = response.chunk().await.map_err(Failure::Request)? {
        read += chunk.len();
        if read > MAX_BODY {
            return Err(Failure::TooLarge);
        }
    }
    let status = response.status();
    match status.is_server_error() {
        // It is the server that failed, not the client.
        true => Err(Failure::Status(status.as_u16())),
        false => Ok(status.is_success()),
    }
}
