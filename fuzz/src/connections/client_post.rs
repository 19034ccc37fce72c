//! What was said for a hold by `POST` and `DELETE`, and what it heard of that: each message once, as it was, in order;
//! and nothing from a client without its token.

use abeyance::{Message, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::Peer;
use super::answers::Answer;
use super::application::{HOOK_TIMEOUT, LONGEST_HOOK};
use super::listener::Listener;
use super::log::{Heard, Log, Over};
use super::wire;
use crate::event_stream::Event;

/// How many may wait to be heard.
const WAITING: usize = 8;

/// Compares what a peer said with what the listener heard, if there is one.
pub(super) fn check(peer: &Peer, listener: Option<&Listener>, log: &Log) {
    let is_ours = |request: &_| listener.is_some_and(|listener| listener.is_spoken_for_by(request));
    let over = listener.map(|listener| log.over(listener.id).expect("everybody's end was told"));
    let heard = listener.map(|listener| log.heard(listener.id)).unwrap_or_default();
    let (mut taken, mut is_ended) = (Vec::new(), false);
    for (request, answer) in peer.requests.iter().zip(&peer.answers) {
        let (is_ours, at) = (is_ours(request), peer.heard_at(answer));
        match (&*request.method, answer.code) {
            ("POST", 202) => {
                assert!(is_ours && !is_ended, "taken, and for no hold: {request:?}");
                assert!(over.is_some_and(|over| at <= over.at), "taken after the end: {request:?}");
                let message = request.message();
                taken.push((message.unwrap_or_else(|| panic!("taken, and no message: {request:?}")), at));
            }
            ("DELETE", 204) => {
                assert!(is_ours && !is_ended, "ended, and no hold's: {request:?}");
                assert_eq!(over.map(|over| over.cause), Some("closed"));
                is_ended = true;
            }
            ("POST" | "DELETE", 404) if is_ours => {
                // Its end has begun, and its end hook comes when the hooks before it are over.
                let busy = heard.last().map(|last| last.at + LONGEST_HOOK).into_iter().chain([at]).max();
                let is_over = over.is_some_and(|over| Some(over.at) <= busy);
                assert!(is_over, "held, and unknown: {request:?}");
            }
            ("POST", 413) => assert!(request.message().is_none(), "not too much: {request:?}"),
            ("POST", 429) => {
                let before = heard.iter().filter(|heard| heard.at < at).count();
                assert!(taken.len() - before >= WAITING, "not too many: {request:?}");
            }
            _ => {}
        }
    }

    let Some(over) = over else { return };
    for (heard, (said, _)) in heard.iter().zip(&taken) {
        assert_eq!(heard.message, *said, "heard otherwise than said");
    }
    if let Some((message, at)) = taken.get(heard.len()) {
        // It waited behind another, and the end cut it off.
        let is_cut_off =
            matches!(over.cause, "kicked" | "reset" | "violation" | "flood" | "overload" | "shutdown");
        // Or what came before it took all the time that there is for those that wait.
        let is_late = heard.last().is_some_and(|last| last.at + LONGEST_HOOK >= *at + HOOK_TIMEOUT);
        assert!(is_cut_off || is_late, "taken, and never heard although it was {}: {message:?}", over.cause);
        let busy = heard.last().map(|last| last.at + LONGEST_HOOK).into_iter().chain([*at]).max();
        assert!(busy >= Some(over.at), "taken, and never heard: {message:?}");
        // One more was on its way.
        assert!(taken.len() - heard.len() <= WAITING + 1, "taken, and not heard: {taken:?}");
    }
    let unanswered = peer.requests.iter().skip(peer.answers.len()).filter(|request| is_ours(*request));
    let mut unanswered = unanswered.filter_map(|request| request.message());
    for more in heard.iter().skip(taken.len()) {
        let is_said = !peer.has_heard_all && unanswered.any(|said| said == more.message);
        assert!(is_said, "heard, and not said: {more:?}");
    }
}

/// Checks that who listens on this transport was told again all that was sent back to it, in order.
pub(super) fn check_echoes(transport: Transport, answer: &Answer, over: &Over, heard: &[Heard]) {
    // What was on its way when such an end came is lost.
    if matches!(over.cause, "gone" | "idle" | "slow" | "stalled" | "shutdown") {
        return;
    }
    let echoed = heard.iter().filter(|heard| heard.is_echoed).map(|heard| &heard.message);
    if transport == Transport::Sse {
        let mut events = wire::told(answer).into_iter();
        for message in echoed {
            assert!(events.any(|event| is_same(&event, message)), "never told: {message:?}");
        }
    } else {
        let mut lines = wire::lines(answer).into_iter();
        for message in echoed {
            let line = match message.as_text() {
                Some(text) => json!(text),
                None => json!({ "base64": STANDARD.encode(message.as_bytes()) }),
            };
            assert!(lines.any(|value| value == line), "never told: {message:?}");
        }
    }
}

fn is_same(event: &Event, message: &Message) -> bool {
    match message.as_text() {
        // Every kind of line break arrives as the same.
        Some(text) => event.kind.is_empty() && event.data == text.replace("\r\n", "\n").replace('\r', "\n"),
        None => event.kind == "binary" && event.data == STANDARD.encode(message.as_bytes()),
    }
}

impl Peer {
    /// When an answer was heard.
    fn heard_at(&self, answer: &Answer) -> tokio::time::Instant {
        let mut times = self.times.iter();
        times.find(|(count, _)| *count >= answer.end).expect("all that was heard was heard at some time").1
    }
}
