//! Lists of clients and subscriptions: answered while they are read, so that a long one is nowhere held whole.
//!
//! The actor that knows the rows gives a page of them for each question; each page becomes a chunk of the answer as soon
//! as the client has taken the one before. A list that fits one page is answered whole.

use std::{future::ready, mem, pin::Pin, sync::Arc};

use actix::{Message, Recipient};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{Version, header::ContentType},
    web::Bytes,
};
use futures::{
    StreamExt,
    stream::{iter, try_unfold},
};
use serde::Serialize;

use super::{ApiError, answer::Meta, query::Paging, state::ask};
use crate::messages::Page;

/// Asks for the page behind a client.
type Next<T> = Box<dyn Fn(Arc<str>) -> Pin<Box<dyn Future<Output = Result<Page<T>, ApiError>>>>>;

/// The rows of a list, the first page of which has come.
pub struct Listing<T: 'static> {
    first: Page<T>,
    next: Next<T>,
}

impl<T: Send + 'static> Listing<T> {
    /// Asks `actor` for the first page with what `message` makes of the client to go on behind.
    ///
    /// # Errors
    /// As [`ask`].
    pub async fn open<M>(
        actor: &Recipient<M>,
        message: impl Fn(Option<Arc<str>>) -> M + 'static,
    ) -> Result<Self, ApiError>
    where
        M: Message<Result = Page<T>> + Send + 'static,
    {
        let first = ask(actor, message(None)).await?;
        let actor = actor.clone();
        let next = move |after| -> Pin<Box<dyn Future<Output = _>>> {
            let (actor, message) = (actor.clone(), message(Some(after)));
            Box::pin(async move { ask(&actor, message).await })
        };
        Ok(Self {
            first,
            next: Box::new(next),
        })
    }

    /// A list that is known whole.
    pub fn whole(rows: Vec<T>) -> Self {
        Self {
            first: Page { rows, next: None },
            next: Box::new(|_| Box::pin(ready(Err(ApiError::NoAnswer)))),
        }
    }

    /// True when there is not one row.
    pub fn is_empty(&self) -> bool {
        self.first.rows.is_empty() && self.first.next.is_none()
    }

    /// All rows.
    ///
    /// # Errors
    /// As [`ask`].
    pub async fn collect(self) -> Result<Vec<T>, ApiError> {
        self.fold(Vec::new(), |mut all, rows| {
            all.extend(rows);
            all
        })
        .await
    }

    /// What `take` makes of the rows, page by page.
    ///
    /// # Errors
    /// As [`ask`].
    pub async fn fold<R>(
        self,
        start: R,
        mut take: impl FnMut(R, Vec<T>) -> R,
    ) -> Result<R, ApiError> {
        let Page { rows, mut next } = self.first;
        let mut result = take(start, rows);
        while let Some(after) = next {
            let page = (self.next)(after).await?;
            result = take(result, page.rows);
            next = page.next;
        }
        Ok(result)
    }

    /// Answers with the rows that `write` puts down, or the page of them that is asked for. An error after the first
    /// page breaks the answer off. HTTP/1.0 knows no chunks: there the answer waits for the last page.
    ///
    /// # Errors
    /// As [`ask`].
    pub async fn answer(
        self,
        request: &HttpRequest,
        paging: Paging,
        write: impl Fn(&T, &mut Rows) + 'static,
    ) -> Result<HttpResponse, ApiError> {
        let mut rows = Rows::begin(paging);
        let after = rows.put(self.first, &write);
        let mut reading = Reading {
            rows,
            after,
            next: self.next,
            write,
        };
        let mut response = HttpResponse::Ok();
        response.insert_header(ContentType::json());
        if request.version() < Version::HTTP_11 {
            while reading.advance().await? {}
        }
        let first = reading.rows.take();
        if reading.after.is_none() {
            return Ok(response.body(first));
        }
        let rest = try_unfold(reading, async |mut reading| {
            let more = reading.advance().await?;
            Ok(more.then(|| (reading.rows.take(), reading)))
        });
        Ok(response.streaming(iter([Ok::<_, ApiError>(first)]).chain(rest)))
    }
}

/// A list whose answer has begun.
struct Reading<T: 'static, W> {
    rows: Rows,
    after: Option<Arc<str>>,
    next: Next<T>,
    write: W,
}

impl<T, W: Fn(&T, &mut Rows)> Reading<T, W> {
    /// Puts the next page down; false when there is none.
    async fn advance(&mut self) -> Result<bool, ApiError> {
        let Some(after) = self.after.take() else {
            return Ok(false);
        };
        let page = (self.next)(after).await?;
        self.after = self.rows.put(page, &self.write);
        Ok(true)
    }
}

/// The text of an answer that is a list, as far as it has not been sent.
pub struct Rows {
    text: Vec<u8>,
    /// Nothing stands between `[` and the next row.
    first: bool,
    paging: Paging,
    /// Rows put down, on whatever page.
    count: usize,
}

impl Rows {
    fn begin(paging: Paging) -> Self {
        Self {
            text: br#"{"code":0,"data":["#.to_vec(),
            first: true,
            paging,
            count: 0,
        }
    }

    /// Puts a row down, unless it is on another page than the one asked for.
    pub fn push(&mut self, row: &impl Serialize) {
        let wanted = self.paging.shows(self.count);
        self.count += 1;
        if !wanted {
            return;
        }
        if !mem::replace(&mut self.first, false) {
            self.text.push(b',');
        }
        self.write(row);
    }

    /// Puts the rows of a page down, and the end where it is the last; returns the client to go on behind.
    fn put<T>(&mut self, page: Page<T>, write: &impl Fn(&T, &mut Self)) -> Option<Arc<str>> {
        for row in &page.rows {
            write(row, self);
        }
        if page.next.is_none() {
            self.text.push(b']');
            if let Some(meta) = self.paging.meta(self.count) {
                self.text.extend(br#","meta":"#);
                self.write::<Meta>(&meta);
            }
            self.text.push(b'}');
        }
        page.next
    }

    fn write<T: Serialize>(&mut self, value: &T) {
        // Nothing that is shown can fail to be written as JSON, and a Vec takes everything.
        if let Err(error) = serde_json::to_writer(&mut self.text, value) {
            log::error!("http: a row of a list: {error}");
        }
    }

    fn take(&mut self) -> Bytes {
        mem::take(&mut self.text).into()
    }
}
