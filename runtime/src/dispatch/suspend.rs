//! The function said yes: the hold begins here, before a byte is written.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;

use crate::endpoint::suspension::Suspension;
use crate::keeper::admission::{Admission, Refused};
use crate::keeper::archive::ResumePoint;
use crate::keeper::hold::{Hold, HoldConfig, NewHold};
use crate::socket::Socket;
use abeyance_core::mechanisms::wire::{WireForm, chunk, head, long_poll, sse};
use abeyance_core::sync::foreign::Foreign;
use abeyance_core::words::event_id::Position;
use abeyance_core::words::peer_io::PeerIo;
use abeyance_settings::endpoint::WhenSlow;

use super::After;
use super::date::http_date;
use super::hooks::{Call, Hooks};
use super::refusals;
use super::refused;
use super::session::{Session, Stage, Startup};
use super::user_code::caught;
use abeyance_core::request::cors::OriginVerdict;
use abeyance_core::request::reader::{PollExchange, Reader, Rest};
use abeyance_core::request::request_facts::RequestFacts;

/// A request that is to be held, with its place.
pub(crate) struct Admitted {
    pub(super) admission: Admission,
    pub(super) suspension: Suspension,
    pub(super) config: Arc<HoldConfig>,
    pub(super) peer: SocketAddr,
    pub(super) asked: RequestFacts,
    pub(super) resume_point: ResumePoint,
    /// Whether a page of another site shall be able to read the answer.
    pub(super) passage: OriginVerdict,
}

/// What the kernel may keep unsent for a peer whose oldest messages may be dropped. More makes no peer that reads faster.
const UNSENT: usize = 16 << 10;

impl Admitted {
    /// Adds the headers with which a page of another site may read the answer.
    pub(super) fn permit(&mut self, passage: &OriginVerdict) {
        abeyance_core::request::cors::permit(passage, &mut self.suspension.headers);
        self.passage = passage.clone();
    }

    /// Holds the connection on `line`, of which hyper had read `unread` more bytes. Ready when the wire is finished.
    ///
    /// The size of this future is part of the memory of every hold; hence no async block, and boxes for what is not idle.
    pub(crate) fn attend(
        self: Box<Self>,
        line: &Arc<dyn Socket>,
        unread: Bytes,
    ) -> impl Future<Output = After> + Send {
        // Begun here, not in the future: what only the beginning needs is no part of the future's size.
        let mut begun = self.begin(line, unread);
        poll_fn(move |cx| match &mut begun {
            Ok(attendant) => attendant.poll(cx),
            Err(after) => Poll::Ready(std::mem::replace(&mut **after, After::Close)),
        })
    }

    fn begin(self, line: &Arc<dyn Socket>, unread: Bytes) -> Result<Session<'_>, Box<After>> {
        let Admitted { admission, suspension, config, peer, asked, resume_point, passage } = self;
        let Suspension { context, topics, replies, driver, headers, protocol, key, .. } = suspension;
        let RequestFacts { form, path, mut exchange, key: handshake, protocols } = asked;
        let keeper = admission.keeper().clone();
        let origins = NewHold { form, peer, path, line: line.clone() };
        let hold = match admission.suspend(key, |id, now| Hold::begin(id, now, config, origins)) {
            Ok(hold) => hold,
            Err(refused) => {
                refused::tell(&keeper, refused.into(), peer);
                let retry = refusals::retry_seconds(keeper.spread());
                return Err(Box::new(refuse(refused, retry, &**line, &exchange, &passage, unread)));
            }
        };
        let (version_11, keep_alive) = (exchange.version_11, exchange.keep_alive);
        if form == WireForm::LongPoll && !headers.is_empty() {
            exchange.rest = Some(Box::new(Rest { headers: headers.clone(), unread: Vec::new() }));
        }
        // From here on the attendant owns the hold: whatever happens, its end is concluded.
        let mut attendant =
            Session::new(hold, line, Hooks::Free(context.take()), Reader::new(form, exchange));
        attendant.stage = Stage::Startup(Box::new(Startup { replies, driver: driver.map(Foreign::take) }));
        let hold = attendant.hold.clone();
        let begun = caught(|| {
            keeper.enter(&hold, &topics, resume_point);
            let position = hold.first_position();
            line.probe(hold.clocks().probing());
            // What the kernel has taken cannot be dropped any more. Never for a long poll, whose socket returns to HTTP.
            let endpoint_config = &hold.config.endpoint_config;
            if endpoint_config.when_slow == WhenSlow::DropOldest && form != WireForm::LongPoll {
                line.take_little((endpoint_config.send_buffer / 8).min(UNSENT));
            }
            let date = http_date();
            let head = head::AnswerHead { version_11, keep_alive, date: &date, extra: &headers, position };
            let head = match form {
                WireForm::WebSocket => {
                    // A subprotocol that the client did not offer would make it fail the connection (RFC 6455 §4.1).
                    let agreed =
                        protocol.filter(|name| protocols.iter().any(|offered| name == offered.as_str()));
                    head::switching(&handshake, agreed.as_ref(), &head)
                }
                WireForm::Sse { chunked } => {
                    let token = keeper.token(hold.id);
                    let mut bytes = head::held(form, Some(&token), &head).to_vec();
                    bytes.extend_from_slice(&chunk::body(first_events(&token, position), chunked));
                    bytes.into()
                }
                WireForm::Stream { .. } => head::held(form, Some(&keeper.token(hold.id)), &head),
                WireForm::LongPoll => Bytes::new(),
            };
            if !head.is_empty() {
                // A peer that is gone already has its end now, and its hooks all the same.
                let _ = hold.write_head(head);
            }
        });
        if let Err(fault) = begun {
            attendant.fail("the beginning of a hold", &fault);
        }
        if !unread.is_empty() {
            // What came behind the request's head, before it was answered.
            attendant.feed(&unread);
        }
        attendant.hooks.start(&hold, Call::Suspend, keeper.server_config().hook_timeout);
        hold.pause_reads();
        Ok(attendant)
    }
}

/// What an event stream begins with. Whoever is cut right behind it comes back with the id it brings: a client that
/// missed what is gone gets a new one only with the word of it.
fn first_events(token: &str, position: Position) -> Vec<u8> {
    if !position.is_lost {
        return sse::opening(token, position.id);
    }
    [sse::opening(token, None), sse::resync(position.id)].concat()
}

/// The function said yes, and yet there is no place: a key's limit, a newcomer that nobody may be ended for, or a
/// shutdown that began meanwhile. hyper is out of the picture, so the answer is ours.
fn refuse(
    refused: Refused,
    retry: u64,
    line: &dyn PeerIo,
    exchange: &PollExchange,
    passage: &OriginVerdict,
    unread: Bytes,
) -> After {
    let (status, text) = refusals::words(refused);
    let keep_alive = exchange.keep_alive && refused != Refused::Draining;
    let mut extra = HeaderMap::new();
    abeyance_core::request::cors::permit(passage, &mut extra);
    let date = http_date();
    let exchange = head::AnswerHead {
        version_11: exchange.version_11,
        keep_alive,
        date: &date,
        extra: &extra,
        position: Position::default(),
    };
    let answer = head::answer(status, Some(long_poll::TEXT), text.as_bytes(), Some(retry), &exchange);
    // The socket is empty: nothing was answered on it that the peer has not asked for after reading.
    match line.try_write(&answer) {
        Ok(count) if count == answer.len() && keep_alive => After::KeepAlive { unread },
        Ok(count) if count == answer.len() => {
            line.shut();
            After::Close
        }
        _ => {
            line.cut();
            After::Close
        }
    }
}
