//! The function said yes: the hold begins here, before a byte is written.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;

use crate::endpoint::suspension::Suspension;
use crate::keeper::admission::{Admission, Refused};
use crate::keeper::archive::Arrival;
use crate::keeper::hold::{Hold, Origins, Post};
use crate::socket::Socket;
use abeyance_core::mechanisms::wire::{Form, chunk, head, long_poll, sse};
use abeyance_core::sync::foreign::Foreign;
use abeyance_core::words::event_id::Position;
use abeyance_core::words::line::Line;
use abeyance_settings::terms::WhenSlow;

use super::After;
use super::attend::{Attendant, Opening, Stage};
use super::date::http_date;
use super::denied;
use super::guard::caught;
use super::hooks::{Call, Hooks};
use super::refusal;
use abeyance_core::request::asked::Asked;
use abeyance_core::request::origin::Passage;
use abeyance_core::request::reader::{Exchange, Reader, Rest};

/// A request that is to be held, with its place.
pub(crate) struct Admitted {
    pub(super) admission: Admission,
    pub(super) suspension: Suspension,
    pub(super) post: Arc<Post>,
    pub(super) peer: SocketAddr,
    pub(super) asked: Asked,
    pub(super) arrival: Arrival,
    /// Whether a page of another site shall be able to read the answer.
    pub(super) passage: Passage,
}

/// What the kernel may keep unsent for a peer whose oldest messages may be dropped. More makes no peer that reads faster.
const UNSENT: usize = 16 << 10;

impl Admitted {
    /// Adds the headers with which a page of another site may read the answer.
    pub(super) fn permit(&mut self, passage: &Passage) {
        abeyance_core::request::origin::permit(passage, &mut self.suspension.headers);
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

    fn begin(self, line: &Arc<dyn Socket>, unread: Bytes) -> Result<Attendant<'_>, Box<After>> {
        let Admitted { admission, suspension, post, peer, asked, arrival, passage } = self;
        let Suspension { context, topics, replies, driver, headers, protocol, key, .. } = suspension;
        let Asked { form, path, mut exchange, key: handshake, protocols } = asked;
        let keeper = admission.keeper().clone();
        let origins = Origins { form, peer, path, line: line.clone() };
        let hold = match admission.suspend(key, |id, now| Hold::begin(id, now, post, origins)) {
            Ok(hold) => hold,
            Err(refused) => {
                denied::tell(&keeper, refused.into(), peer);
                let retry = refusal::retry_seconds(keeper.spread());
                return Err(Box::new(refuse(refused, retry, &**line, &exchange, &passage, unread)));
            }
        };
        let (version_11, keep_alive) = (exchange.version_11, exchange.keep_alive);
        if form == Form::LongPoll && !headers.is_empty() {
            exchange.rest = Some(Box::new(Rest { headers: headers.clone(), unread: Vec::new() }));
        }
        // From here on the attendant owns the hold: whatever happens, its end is concluded.
        let mut attendant =
            Attendant::new(hold, line, Hooks::Free(context.take()), Reader::new(form, exchange));
        attendant.stage = Stage::Opening(Box::new(Opening { replies, driver: driver.map(Foreign::take) }));
        let hold = attendant.hold.clone();
        let begun = caught(|| {
            keeper.enter(&hold, &topics, arrival);
            let position = hold.first_position();
            line.probe(hold.clocks().probing());
            // What the kernel has taken cannot be dropped any more. Never for a long poll, whose socket returns to HTTP.
            let terms = &hold.post.terms;
            if terms.when_slow == WhenSlow::DropOldest && form != Form::LongPoll {
                line.take_little((terms.send_buffer / 8).min(UNSENT));
            }
            let date = http_date();
            let head = head::Exchange { version_11, keep_alive, date: &date, extra: &headers, position };
            let head = match form {
                Form::WebSocket => {
                    // A subprotocol that the client did not offer would make it fail the connection (RFC 6455 §4.1).
                    let agreed =
                        protocol.filter(|name| protocols.iter().any(|offered| name == offered.as_str()));
                    head::switching(&handshake, agreed.as_ref(), &head)
                }
                Form::Sse { chunked } => {
                    let token = keeper.token(hold.id);
                    let mut bytes = head::held(form, Some(&token), &head).to_vec();
                    bytes.extend_from_slice(&chunk::body(first_events(&token, position), chunked));
                    bytes.into()
                }
                Form::Stream { .. } => head::held(form, Some(&keeper.token(hold.id)), &head),
                Form::LongPoll => Bytes::new(),
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
        attendant.hooks.start(&hold, Call::Suspend, keeper.policy().hook_timeout);
        hold.deafen();
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
    line: &dyn Line,
    exchange: &Exchange,
    passage: &Passage,
    unread: Bytes,
) -> After {
    let (status, text) = refusal::words(refused);
    let keep_alive = exchange.keep_alive && refused != Refused::Draining;
    let mut extra = HeaderMap::new();
    abeyance_core::request::origin::permit(passage, &mut extra);
    let date = http_date();
    let exchange = head::Exchange {
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
