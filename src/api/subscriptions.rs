//! `GET /api/v4/subscriptions` and the subscriptions of one client.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use serde::Serialize;

use super::{
    ApiError, ApiState,
    listing::Listing,
    query::{Parameters, Text},
    state::ask,
};
use crate::{
    messages::{GetSubscriptions, ListSubscriptions, SubscriptionRow},
    mqtt::{QoS, TopicFilter},
};

/// A subscription as lists show it.
#[derive(Serialize)]
struct Row<'a> {
    clientid: &'a str,
    /// The whole filter, `$share/group/` included.
    topic: &'a str,
    qos: u8,
}

impl<'a> Row<'a> {
    fn new(subscription: &'a SubscriptionRow) -> Self {
        Self {
            clientid: &subscription.client_id,
            topic: &subscription.topic,
            qos: subscription.qos as u8,
        }
    }
}

/// Which subscriptions are asked for; one has to meet all that is given.
#[derive(Debug)]
struct Filter {
    client_id: Option<Text>,
    topic: Option<Text>,
    qos: Option<QoS>,
    share: Option<Text>,
}

impl Filter {
    fn read(parameters: &mut Parameters) -> Result<Self, ApiError> {
        let levels = [
            ("0", QoS::AtMostOnce),
            ("1", QoS::AtLeastOnce),
            ("2", QoS::ExactlyOnce),
        ];
        let with_underscore = parameters.text("client_id");
        Ok(Self {
            client_id: parameters.text("clientid").or(with_underscore),
            topic: parameters.text("topic"),
            qos: parameters.one_of("qos", &levels)?,
            share: parameters.text("share"),
        })
    }

    /// The whole filter that is looked for, `$share/group/` included, unless it could be more than one.
    fn whole(&self) -> Option<String> {
        let topic = self.topic.as_ref()?.single()?;
        match &self.share {
            None => Some(topic.to_owned()),
            Some(_) if topic.starts_with("$share/") => Some(topic.to_owned()),
            Some(group) => Some(format!("$share/{}/{topic}", group.single()?)),
        }
    }

    fn admits(&self, subscription: &SubscriptionRow) -> bool {
        if self
            .client_id
            .as_ref()
            .is_some_and(|id| !id.is(&subscription.client_id))
            || self.qos.is_some_and(|qos| qos != subscription.qos)
        {
            return false;
        }
        let Some(group) = &self.share else {
            return self
                .topic
                .as_ref()
                .is_none_or(|topic| topic.is(&subscription.topic));
        };
        // The group is named already, so the topic may be given without it.
        TopicFilter::parse(&subscription.topic).is_ok_and(|filter| {
            filter.share().is_some_and(|name| group.is(name))
                && self
                    .topic
                    .as_ref()
                    .is_none_or(|topic| topic.is(filter.full()) || topic.is(filter.filter()))
        })
    }
}

/// The subscriptions that meet the filters of the query.
pub async fn list(request: HttpRequest, state: Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::parse(request.query_string())?;
    let filter = Filter::read(&mut parameters)?;
    let paging = parameters.paging()?;
    parameters.finish()?;
    let subscriptions = match filter.client_id.as_ref().and_then(Text::single) {
        // Those of one client, or with one filter, are found faster than all.
        Some(id) => {
            let ask_for = GetSubscriptions {
                client_id: id.to_owned(),
            };
            let found = ask(&state.subscriptions_of, ask_for).await?;
            Listing::whole(found.unwrap_or_default())
        }
        None => {
            let topic = filter.whole();
            let ask_for = move |after| ListSubscriptions {
                topic: topic.clone(),
                after,
            };
            Listing::open(&state.subscriptions, ask_for).await?
        }
    };
    let answer = subscriptions.answer(&request, paging, move |subscription, rows| {
        if filter.admits(subscription) {
            rows.push(&Row::new(subscription));
        }
    });
    answer.await
}

/// The subscriptions of one client; none for a client that has none.
pub async fn of_client(
    client_id: Path<String>,
    request: HttpRequest,
    state: Data<ApiState>,
) -> Result<HttpResponse, ApiError> {
    let mut parameters = Parameters::parse(request.query_string())?;
    let paging = parameters.paging()?;
    parameters.finish()?;
    let ask_for = GetSubscriptions {
        client_id: client_id.into_inner(),
    };
    let subscriptions = ask(&state.subscriptions_of, ask_for).await?;
    let subscriptions = subscriptions.ok_or(ApiError::NoSuchClient)?;
    let subscriptions = Listing::whole(subscriptions);
    let answer = subscriptions.answer(&request, paging, |subscription, rows| {
        rows.push(&Row::new(subscription));
    });
    answer.await
}
