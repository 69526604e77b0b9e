//! SUBSCRIBE and UNSUBSCRIBE: what may be asked for, and the answer's codes.

use std::sync::Arc;

use crate::{
    config::Mqtt,
    mqtt::{
        PacketId, ProtocolVersion, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeOptions,
        TopicFilter, Unsubscribe,
    },
};

/// A subscription that the client may have, to be entered by the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// The whole filter, `$share/group/` included.
    pub filter: Arc<str>,
    /// Options with the granted QoS.
    pub options: SubscribeOptions,
    /// Subscription identifier.
    pub subscription_id: Option<u32>,
}

impl SubscribeRequest {
    /// Checks one filter of a SUBSCRIBE against what the broker allows.
    ///
    /// # Errors
    /// The code that says why the client may not have it.
    pub fn check(
        text: &str,
        options: SubscribeOptions,
        subscription_id: Option<u32>,
        version: ProtocolVersion,
        limits: &Mqtt,
    ) -> Result<Self, ReasonCode> {
        check(text, subscription_id, limits)?;
        let options = SubscribeOptions {
            qos: options.qos.min(maximum_qos(limits)),
            // Versions before 5 have neither; RETAIN is cleared on what is forwarded.
            no_local: options.no_local && version.is_v5(),
            retain_as_published: options.retain_as_published && version.is_v5(),
            ..options
        };
        Ok(Self {
            filter: text.into(),
            options,
            subscription_id,
        })
    }

    /// True when the retained messages are to be sent: granted, not shared `[MQTT-4.8.2]`, and asked for
    /// `[MQTT-3.3.1-9]` to `[MQTT-3.3.1-11]`.
    pub fn wants_retained(&self, answer: &Granted) -> bool {
        let wanted = match self.options.retain_handling {
            RetainHandling::SendAlways => true,
            RetainHandling::SendIfNew => answer.is_new,
            RetainHandling::Never => false,
        };
        !answer.code.is_error() && wanted && !self.filter.starts_with("$share/")
    }
}

/// A SUBSCRIBE on its way to the registry and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeJob {
    pub(super) packet_id: PacketId,
    /// One code a filter: granted, or why not `[MQTT-3.8.4-6]`.
    pub(super) codes: Vec<ReasonCode>,
    /// The granted filters, and the index of each in the packet.
    pub(super) granted: Vec<(usize, SubscribeRequest)>,
}

impl SubscribeJob {
    /// Has a bridge that speaks MQTT 3 get what it could ask for with MQTT 5 only.
    pub(super) fn serve_a_bridge(&mut self) {
        for (_, request) in &mut self.granted {
            request.options.no_local = !request.filter.starts_with("$share/");
            request.options.retain_as_published = true;
        }
    }

    /// Checks every filter of a SUBSCRIBE.
    pub(super) fn new(packet: &Subscribe<'_>, version: ProtocolVersion, limits: &Mqtt) -> Self {
        let mut job = Self {
            packet_id: packet.packet_id,
            codes: Vec::new(),
            granted: Vec::new(),
        };
        let subscription_id = packet.properties.subscription_identifier();
        for (index, (text, options)) in packet.filters().enumerate() {
            match SubscribeRequest::check(text, options, subscription_id, version, limits) {
                Ok(request) => {
                    job.codes.push(ReasonCode::granted(request.options.qos));
                    job.granted.push((index, request));
                }
                Err(code) => job.codes.push(code),
            }
        }
        job
    }

    /// Number of filters in the packet, refused ones included.
    pub fn filters(&self) -> usize {
        self.codes.len()
    }

    /// The subscriptions to enter.
    pub fn requests(&self) -> impl Iterator<Item = &SubscribeRequest> {
        self.granted.iter().map(|(_, request)| request)
    }

    /// Takes out what may not be subscribed to; says how many filters that were.
    pub fn refuse(&mut self, mut may: impl FnMut(&SubscribeRequest) -> bool) -> usize {
        let mut refused = 0;
        let codes = &mut self.codes;
        self.granted.retain(|(index, request)| {
            let granted = may(request);
            if !granted {
                refused += 1;
                if let Some(code) = codes.get_mut(*index) {
                    *code = ReasonCode::NotAuthorized;
                }
            }
            granted
        });
        refused
    }

    /// Enters the registry's answer, one code a request. Returns the filters whose retained messages are to be
    /// sent.
    pub fn granted(&mut self, answers: &[Granted]) -> Vec<SubscribeRequest> {
        let mut wanting_retained = Vec::new();
        for ((index, request), answer) in self.granted.drain(..).zip(answers) {
            if let Some(code) = self.codes.get_mut(index) {
                *code = answer.code;
            }
            if request.wants_retained(answer) {
                wanting_retained.push(request);
            }
        }
        wanting_retained
    }
}

/// The registry's answer to a [`SubscribeRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The granted QoS, or why the subscription was not entered.
    pub code: ReasonCode,
    /// The session had no subscription with this filter before.
    pub is_new: bool,
}

/// An UNSUBSCRIBE on its way to the registry and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubscribeJob {
    pub(super) packet_id: PacketId,
    /// Filters in the order of the packet; what cannot be a filter cannot have been subscribed to.
    pub filters: Vec<Arc<str>>,
}

impl UnsubscribeJob {
    pub(super) fn new(packet: &Unsubscribe<'_>) -> Self {
        Self {
            packet_id: packet.packet_id,
            filters: packet.filters().map(Arc::from).collect(),
        }
    }
}

fn maximum_qos(limits: &Mqtt) -> QoS {
    QoS::from_bits(limits.max_qos).unwrap_or(QoS::ExactlyOnce)
}

fn check(text: &str, subscription_id: Option<u32>, limits: &Mqtt) -> Result<(), ReasonCode> {
    let Ok(filter) = TopicFilter::parse(text) else {
        return Err(ReasonCode::TopicFilterInvalid);
    };
    let too_long = text.len() > usize::from(limits.max_topic_length);
    if too_long || filter.levels().count() > limits.max_topic_levels {
        return Err(ReasonCode::TopicFilterInvalid);
    }
    if filter.share().is_some() && !limits.shared_subscription_available {
        return Err(ReasonCode::SharedSubscriptionsNotSupported);
    }
    if filter.is_wildcard() && !limits.wildcard_subscription_available {
        return Err(ReasonCode::WildcardSubscriptionsNotSupported);
    }
    if subscription_id.is_some() && !limits.subscription_identifier_available {
        return Err(ReasonCode::SubscriptionIdentifiersNotSupported);
    }
    Ok(())
}
