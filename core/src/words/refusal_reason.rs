//! Why a request, or a connection, is refused: one closed list.

macro_rules! denials {
    ($($(#[doc = $doc:literal])+ $name:ident $word:literal,)+) => {
        /// Why a request, or a connection, is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RefusalReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl RefusalReason {
            pub const ALL: &[RefusalReason] = &[$(RefusalReason::$name,)+];

            /// The word under which it is counted and logged. It never changes.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(RefusalReason::$name => $word,)+
                }
            }
        }
    };
}

denials! {
    /// The page is of another origin, which is not allowed.
    Origin "origin",
    /// The annotated function said no.
    Function "function",
    /// An argument of the annotated function could not be taken out of the request.
    Argument "argument",
    /// The annotated function panicked, or asked for what cannot be meant.
    Failed "failed",
    /// The annotated function was not ready in time.
    FunctionLate "function_late",
    /// The server's `max_suspended` is reached.
    Server "max_suspended",
    /// The endpoint's `max_suspended` is reached.
    Endpoint "endpoint_max_suspended",
    /// The server's `max_per_peer` is reached.
    Peer "max_per_peer",
    /// The endpoint's `max_per_peer` is reached.
    EndpointPeer "endpoint_max_per_peer",
    /// The server's `max_per_key` is reached.
    Key "max_per_key",
    /// The endpoint's `max_per_key` is reached.
    EndpointKey "endpoint_max_per_key",
    /// The server is shutting down.
    Draining "draining",
    /// Nothing is served at this path.
    NotFound "not_found",
    /// Nothing is served by this method.
    Method "method",
    /// The transport that was asked for is not offered.
    Transport "transport",
    /// A WebSocket's handshake is not right.
    Handshake "handshake",
    /// A WebSocket's `Upgrade` is missing, or of another version.
    Upgrade "upgrade",
    /// The request cannot be read as HTTP, or could be read in two ways.
    Malformed "malformed",
    /// The head of the request came too slowly.
    HeadLate "head_late",
    /// The body of the request came too slowly.
    BodyLate "body_late",
    /// The body of the request is too large.
    TooLarge "too_large",
    /// The request expects what is not done.
    Expectation "expectation",
    /// `Last-Event-ID` is of a message that is yet to come.
    LastEventId "last_event_id",
    /// The client was evicted and told to stay away.
    StayAway "stay_away",
    /// A page asked before a request whether it may send a header that it may not.
    Preflight "preflight",
    /// No hold has the token of a `POST` or `DELETE`.
    Token "token",
    /// Too much waits for `on_message`.
    Inbox "inbox",
    /// There is no place for one more connection.
    Connections "connections",
    /// As many requests are read and answered as may be at once (`max_requests`).
    Busy "max_requests",
    /// `max_unheld_per_peer` is reached.
    ConnectionPeer "max_unheld_per_peer",
    /// `max_connects_per_peer` is reached.
    ConnectionRate "max_connects_per_peer",
    /// Another reason.
    Other "other",
}

impl RefusalReason {
    /// What an answer with this status refuses, where nothing more is known.
    pub const fn by_status(status: u16) -> RefusalReason {
        match status {
            400 => RefusalReason::Malformed,
            404 => RefusalReason::NotFound,
            405 | 501 => RefusalReason::Method,
            406 => RefusalReason::Transport,
            408 => RefusalReason::BodyLate,
            413 => RefusalReason::TooLarge,
            417 => RefusalReason::Expectation,
            426 => RefusalReason::Upgrade,
            429 => RefusalReason::Inbox,
            500 => RefusalReason::Failed,
            _ => RefusalReason::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own_and_its_place() {
        for (place, denial) in RefusalReason::ALL.iter().enumerate() {
            assert_eq!(*denial as usize, place);
            let same = RefusalReason::ALL.iter().filter(|other| other.as_str() == denial.as_str());
            assert_eq!(same.count(), 1, "{denial:?}");
        }
    }
}
