//! What a function's `Ok(Suspend)` asks for, without the context's type.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::erased::Erased;
use super::{BoxError, BoxFuture};
use crate::keeper::held::Held;
use abeyance_core::sync::foreign::Foreign;
use abeyance_core::words::message::Message;
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::{Contradiction, EndpointConfig, EndpointOptions, Transport};

/// A hold that was asked for and has not begun.
pub struct Suspension {
    pub(crate) context: Foreign<Box<dyn Erased>>,
    /// `true` stands with those whose whole past a newcomer gets. None stands there twice.
    pub(crate) topics: Vec<(Topic, bool)>,
    /// Sent at once, in this order.
    pub(crate) replies: Vec<Message>,
    pub(crate) driver: Option<Foreign<Driver>>,
    /// For the head of the held answer.
    pub(crate) headers: HeaderMap,
    /// The WebSocket subprotocol to agree to.
    pub(crate) protocol: Option<HeaderValue>,
    /// Whose hold it is; counted by `max_per_key`.
    pub(crate) key: Option<Arc<str>>,
    /// What this hold overrides of its handler's settings.
    pub(crate) settings: EndpointOptions,
}

/// Makes a future that lives as long as the hold; when it fails, the hold has failed. Calling it may panic, like polling.
///
/// The call is not put into the future: what the closure captured would then take its place beside the future's own.
pub(crate) type Driver = Box<dyn FnOnce(Held) -> BoxFuture<'static, Result<(), BoxError>> + Send>;

impl Suspension {
    /// The terms of this hold: its own overrides, then its handler's settings, then the defaults.
    ///
    /// # Errors
    /// When an override contradicts the rest. Only this hold's transport is judged, not all that the handler offers.
    pub(crate) fn endpoint_config(
        &self,
        handler: EndpointOptions,
        transport: Transport,
    ) -> Result<EndpointConfig, Vec<Contradiction>> {
        let settings = EndpointOptions { transports: Some(transport.alone()), ..self.settings }.or(handler);
        if self.settings != EndpointOptions::NONE {
            let contradictions = settings.contradictions();
            if !contradictions.is_empty() {
                return Err(contradictions);
            }
        }
        Ok(settings.resolve())
    }
}

impl std::fmt::Debug for Suspension {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suspension")
            .field("topics", &self.topics)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::suspend::Suspend;
    use super::*;
    use abeyance_settings::endpoint::WhenSlow;

    #[test]
    fn an_override_stands_before_the_handlers_settings() {
        let handler = EndpointOptions {
            timeout: Some(Some(Duration::from_secs(30))),
            send_buffer: Some(64 << 10),
            ..EndpointOptions::NONE
        };
        let suspension = Suspend::new().timeout(Duration::from_secs(60)).erase().expect("no fault");
        let endpoint_config = suspension.endpoint_config(handler, Transport::Sse).expect("no contradiction");
        assert_eq!(endpoint_config.timeout(Transport::Sse), Some(Duration::from_secs(60)));
        assert_eq!(endpoint_config.send_buffer, 64 << 10);
    }

    #[test]
    fn an_override_is_judged_by_the_holds_own_transport() {
        let endless = || Suspend::new().timeout(None).erase().expect("no fault");
        assert!(endless().endpoint_config(EndpointOptions::NONE, Transport::WebSocket).is_ok());
        assert_eq!(
            endless().endpoint_config(EndpointOptions::NONE, Transport::LongPoll).unwrap_err().len(),
            1
        );
        // Every transport that a handler offers must be able to hold what a function returns for all of them.
        let dropping = || Suspend::new().when_slow(WhenSlow::DropNewest).erase().expect("no fault");
        for transport in Transport::ALL.iter().copied() {
            let endpoint_config =
                dropping().endpoint_config(EndpointOptions::NONE, transport).expect("no contradiction");
            assert_eq!(endpoint_config.when_slow, WhenSlow::DropNewest);
        }
        let late = Suspend::new().heartbeat(Duration::from_secs(600)).erase().expect("no fault");
        assert!(late.endpoint_config(EndpointOptions::NONE, Transport::WebSocket).is_err());
    }
}
