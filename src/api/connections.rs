//! How many connections the server has. While more than half of those it may have are open, each is closed after its
//! answer, so that connections which are only kept alive do not keep others out.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Extensions, ServiceRequest, ServiceResponse},
    http::ConnectionType,
    middleware::Next,
};

/// Counts the connections.
#[derive(Clone)]
pub struct Connections {
    open: Arc<AtomicUsize>,
    most: usize,
}

/// One connection, as long as it is open.
struct Connection(Connections);

impl Connections {
    /// None of at most `most` is open.
    pub fn new(most: usize) -> Self {
        Self {
            open: Arc::new(AtomicUsize::new(0)),
            most,
        }
    }

    /// What the server is to call for each new connection.
    pub fn on_connect(&self) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
        let connections = self.clone();
        move |_, data| drop(data.insert(Connection::open(&connections)))
    }

    fn is_crowded(&self) -> bool {
        self.open.load(Ordering::Relaxed) > self.most / 2
    }
}

impl Connection {
    fn open(connections: &Connections) -> Self {
        connections.open.fetch_add(1, Ordering::Relaxed);
        Self(connections.clone())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes the connection after the answer while there are many.
pub async fn close_if_crowded(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let connection = request.conn_data::<Connection>();
    let crowded = connection.is_some_and(|connection| connection.0.is_crowded());
    let mut response = next.call(request).await?;
    if crowded {
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_connections_are_counted() {
        let connections = Connections::new(4);
        let on_connect = connections.on_connect();
        let mut open: Vec<Extensions> = Vec::new();
        for expected in [false, false, true, true] {
            let mut data = Extensions::new();
            on_connect(&(), &mut data);
            open.push(data);
            assert_eq!(connections.is_crowded(), expected, "{}", open.len());
        }
        open.truncate(2);
        assert!(!connections.is_crowded());
    }
}
