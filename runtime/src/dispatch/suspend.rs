//! The function said yes: the hold begins here, before a byte is written.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderValue;

use crate::endpoint::suspension::Suspension;
use crate::keeper::admission::{Admission, Refused};
use crate::keeper::archive::ResumePoint;
use crate::keeper::hold::{Hold, NewHold};
use crate::keeper::hold_config::HoldConfig;
use crate::socket::Socket;
use abeyance_core::mechanisms::wire::{WireForm, chunk, head, long_poll, sse};
use abeyance_core::sync::foreign::Foreign;
use abeyance_core::words::event_id::Position;
use abeyance_core::words::peer_io::PeerIo;
use abeyance_settings::endpoint::WhenSlow;

use super::After;
use super::answers;
use super::date::http_date;
use super::hooks::{Call, Hooks};
use super::refusal_log;
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
    pub(super) facts: RequestFacts,
    pub(super) resume_point: ResumePoint,
    /// Whether a page of another site shall be able to read the answer.
    pub(super) origin: OriginVerdict,
}

/// What the kernel may keep unsent for a peer whose oldest messages may be dropped. More makes no peer that reads faster.
const UNSENT: usize = 16 << 10;

impl Admitted {
    /// Adds the headers with which a page of another site may read the answer.
    pub(super) fn permit(&mut self, origin: &OriginVerdict) {
        abeyance_core::request::cors::permit(origin, &mut self.suspension.headers);
        self.origin = origin.clone();
    }

    /// Holds the connection on `socket`, of which hyper had read `unread` more bytes. Ready when the wire is finished.
    ///
    /// The size of this future is part of the memory of every hold; hence no async block, and boxes for what is not idle.
    pub(crate) fn attend(
        self: Box<Self>,
        socket: &Arc<dyn Socket>,
        unread: Bytes,
    ) -> impl Future<Output = After> + Send {
        // Begun here, not in the future: what only the beginning needs is no part of the future's size.
        let mut begun = self.begin(socket, unread);
        poll_fn(move |cx| match &mut begun {
            Ok(session) => session.poll(cx),
            Err(after) => Poll::Ready(std::mem::replace(&mut **after, After::Close)),
        })
    }

    fn begin(self, socket: &Arc<dyn Socket>, unread: Bytes) -> Result<Session<'_>, Box<After>> {
        let Admitted { admission, suspension, config, peer, facts, resume_point, origin } = self;
        let Suspension { context, topics, replies, driver, headers, protocol, key, .. } = suspension;
        let RequestFacts { form, path, mut exchange, key: handshake, protocols } = facts;
        let keeper = admission.keeper().clone();
        let new_hold = NewHold { form, peer, path, peer_io: socket.clone() };
        let hold = match admission.suspend(key, |id, now| Hold::begin(id, now, config, new_hold)) {
            Ok(hold) => hold,
            Err(refused) => {
                refusal_log::tell(&keeper, refused.into(), peer);
                let retry = answers::retry_seconds(keeper.spread());
                return Err(Box::new(refuse(refused, retry, &**socket, &exchange, &origin, unread)));
            }
        };
        // A subprotocol that the client did not offer would make it fail the connection (RFC 6455 §4.1).
        let protocol = protocol.filter(|name| protocols.iter().any(|offered| name == offered.as_str()));
        let (version_11, keep_alive) = (exchange.version_11, exchange.keep_alive);
        let head = Head { version_11, keep_alive, headers: headers.clone(), handshake, protocol };
        if form == WireForm::LongPoll && !headers.is_empty() {
            exchange.rest = Some(Box::new(Rest { headers, unread: Vec::new() }));
        }
        // From here on the session owns the hold: in any case its end is concluded.
        let hooks = Hooks::Free(context.take());
        let mut session = Session::new(hold.clone(), socket, hooks, Reader::new(form, exchange));
        session.stage = Stage::Startup(Box::new(Startup { replies, driver: driver.map(Foreign::take) }));
        let begun = caught(|| {
            keeper.enter(&hold, &topics, resume_point);
            let position = hold.first_position();
            socket.probe(hold.clocks().probing());
            bound_unsent(&hold, &**socket);
            let head = head.bytes(&hold, position);
            if !head.is_empty() {
                // A peer that is gone already has its end now, and its hooks all the same.
                let _ = hold.write_head(head);
            }
        });
        if let Err(fault) = begun {
            session.fail("the beginning of a hold", &fault);
        }
        if !unread.is_empty() {
            // What came behind the request's head, before it was answered.
            session.feed(&unread);
        }
        session.hooks.start(&hold, Call::Suspend, keeper.server_config().hook_timeout);
        hold.pause_reads();
        Ok(session)
    }
}

/// Has the kernel keep little for a peer whose oldest messages may be dropped: what it has taken cannot be dropped any more.
/// Never for a long poll, whose socket returns to HTTP.
fn bound_unsent(hold: &Hold, socket: &dyn Socket) {
    let endpoint_config = &hold.config.endpoint_config;
    if endpoint_config.when_slow == WhenSlow::DropOldest && hold.form != WireForm::LongPoll {
        socket.bound_unsent((endpoint_config.send_buffer / 8).min(UNSENT));
    }
}

/// What the head of a held answer is made from.
struct Head {
    version_11: bool,
    keep_alive: bool,
    /// The application's own.
    headers: HeaderMap,
    /// The client's `Sec-WebSocket-Key`.
    handshake: String,
    /// The subprotocol that both sides want.
    protocol: Option<HeaderValue>,
}

impl Head {
    /// The head, and what an event stream begins with. A long poll's comes with its answer.
    fn bytes(&self, hold: &Hold, position: Position) -> Bytes {
        let Head { version_11, keep_alive, headers, handshake, protocol } = self;
        let (form, date) = (hold.form, http_date());
        let head = head::AnswerHead {
            version_11: *version_11,
            keep_alive: *keep_alive,
            date: &date,
            extra: headers,
            position,
        };
        match form {
            WireForm::WebSocket => head::switching(handshake, protocol.as_ref(), &head),
            WireForm::Sse { chunked } => {
                let token = hold.keeper().token(hold.id);
                let mut bytes = head::held(form, Some(&token), &head).to_vec();
                bytes.extend_from_slice(&chunk::body(first_events(&token, position), chunked));
                bytes.into()
            }
            WireForm::Stream { .. } => head::held(form, Some(&hold.keeper().token(hold.id)), &head),
            WireForm::LongPoll => Bytes::new(),
        }
    }
}

/// What an event stream begins with. A client that is cut right behind it comes back with the id it brings. So a client
/// that missed what is gone gets a new id only together with the resync.
fn first_events(token: &str, position: Position) -> Vec<u8> {
    if !position.is_lost {
        return sse::opening(token, position.id);
    }
    [sse::opening(token, None), sse::resync(position.id)].concat()
}

/// The function said yes, and yet there is no place: a key's limit, a newcomer for which no hold may be ended, or a
/// shutdown that began meanwhile. hyper is not there any more, so the answer is ours.
fn refuse(
    refused: Refused,
    retry: u64,
    socket: &dyn PeerIo,
    exchange: &PollExchange,
    origin: &OriginVerdict,
    unread: Bytes,
) -> After {
    let (status, text) = answers::words(refused);
    let keep_alive = exchange.keep_alive && refused != Refused::Draining;
    let mut extra = HeaderMap::new();
    abeyance_core::request::cors::permit(origin, &mut extra);
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
    match socket.try_write(&answer) {
        Ok(count) if count == answer.len() && keep_alive => After::KeepAlive { unread },
        Ok(count) if count == answer.len() => {
            socket.shut();
            After::Close
        }
        _ => {
            socket.cut();
            After::Close
        }
    }
}
