//! What a held peer's bytes mean, and how many of them are taken in.
//!
//! What a WebSocket peer can do without ever saying something is bounded here: by an [`FrameQuota`] of frames that say
//! nothing, and by the [`SlowPeerTimer`] with a message that does not come to its end. Both are looked at when something
//! comes; a peer that sends nothing at all is `max_idle`'s business.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::mechanisms::frame_quota::FrameQuota;
use crate::mechanisms::slow_peer_timer::SlowPeerTimer;
use crate::mechanisms::wire::WireForm;
use crate::mechanisms::wire::assembler::{Assembler, Incoming};
use crate::mechanisms::wire::protocol_fault::ProtocolFault;
use crate::words::message::Message;
use crate::words::tick::Tick;
use abeyance_settings::endpoint::EndpointConfig;

/// The reading side of one hold. Between two messages it owns no memory.
pub enum Reader {
    /// Frames.
    Frames {
        /// What they may be that say nothing.
        quota: FrameQuota,
        /// There only while something is unfinished.
        begun: Option<Box<Begun>>,
    },
    /// Bytes that must not come any more: the request is being answered. Counted, and dropped.
    Strays(u32),
    /// A long poll: nothing was answered, and the connection's next request may begin already. What an [`PollExchange`] has,
    /// one by one, so that there is room for the others beside the discriminant.
    Poll { version_11: bool, keep_alive: bool, is_batch: bool, rest: Option<Box<Rest>> },
}

/// What a peer has begun to say, and what it has said that was not taken yet.
pub struct Begun {
    assembler: Assembler,
    /// Whole messages that were [read ahead](Reader::look).
    ahead: VecDeque<Message>,
    ahead_bytes: usize,
    slow_timer: SlowPeerTimer,
    /// Until when waiting was counted. What stands behind something whole begins with the next bytes that come: while the
    /// application has a message, nothing is read.
    counted: Option<Tick>,
    /// How much there was of the message then.
    drafted: usize,
    /// When something came.
    fed: Tick,
}

/// What must be remembered of a long poll's request until it is answered.
pub struct PollExchange {
    pub version_11: bool,
    pub keep_alive: bool,
    /// Whether the client takes all that waits, as lines.
    pub is_batch: bool,
    /// What most long polls have not.
    pub rest: Option<Box<Rest>>,
}

#[derive(Default)]
pub struct Rest {
    /// The application's headers for the answer.
    pub headers: HeaderMap,
    /// The beginning of the connection's next request, which is served after the answer.
    pub unread: Vec<u8>,
}

/// What came of some bytes.
pub enum Read {
    /// Nothing whole yet.
    More,
    Item(Incoming),
    /// The peer broke the rules; a WebSocket is told how.
    Fault(ProtocolFault),
}

/// What a message that was read ahead costs beside its bytes.
const AHEAD: usize = 64;

/// How many unasked bytes may come.
const STRAYS: usize = 64 * 1024;

/// How long a message may take that comes slower than the slowest pace, where the terms know no `max_idle`.
const UNFINISHED: Duration = Duration::from_secs(300);

impl Reader {
    pub fn new(form: WireForm, exchange: PollExchange) -> Self {
        match form {
            WireForm::WebSocket => Reader::Frames { quota: FrameQuota::default(), begun: None },
            WireForm::Sse { .. } | WireForm::Stream { .. } => Reader::Strays(0),
            WireForm::LongPoll => {
                let PollExchange { version_11, keep_alive, is_batch, rest } = exchange;
                Reader::Poll { version_11, keep_alive, is_batch, rest }
            }
        }
    }

    /// Takes in what came; [`next_item`](Reader::next_item) tells what it means.
    pub fn feed(&mut self, bytes: &[u8], terms: &EndpointConfig, now: Tick) {
        match self {
            Reader::Frames { begun, .. } => {
                begun.get_or_insert_with(|| Box::new(Begun::new(terms, now))).feed(bytes, now);
            }
            Reader::Strays(count) => *count = count.saturating_add(bytes.len() as u32),
            Reader::Poll { rest, .. } => {
                let kept = &mut rest.get_or_insert_default().unread;
                // One byte too many is enough to tell.
                let room = (STRAYS + 1).saturating_sub(kept.len());
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
    }

    /// The next item of what was taken in before.
    pub fn next_item(&mut self) -> Read {
        if let Reader::Frames { begun: Some(begun), .. } = self
            && let Some(message) = begun.ahead.pop_front()
        {
            begun.ahead_bytes -= message.len() + AHEAD;
            return Read::Item(Incoming::Message(message));
        }
        self.read_on()
    }

    /// As [`next_item`](Reader::next_item), but a message is put aside for `next_item`, and what stands behind it is told instead.
    pub fn look(&mut self) -> Read {
        loop {
            match (self.read_on(), &mut *self) {
                (Read::Item(Incoming::Message(message)), Reader::Frames { begun: Some(begun), .. }) => {
                    begun.ahead_bytes += message.len() + AHEAD;
                    begun.ahead.push_back(message);
                }
                (read, _) => return read,
            }
        }
    }

    /// How many bytes were put aside.
    pub fn ahead(&self) -> usize {
        match self {
            Reader::Frames { begun: Some(begun), .. } => begun.ahead_bytes,
            _ => 0,
        }
    }

    /// How many bytes it has of what came.
    pub fn bytes(&self) -> usize {
        match self {
            Reader::Frames { begun: Some(begun), .. } => begun.assembler.bytes() + begun.ahead_bytes,
            Reader::Poll { rest: Some(rest), .. } => rest.unread.len(),
            _ => 0,
        }
    }

    fn read_on(&mut self) -> Read {
        let (quota, slot) = match self {
            Reader::Frames { quota, begun } => (quota, begun),
            Reader::Strays(count) if *count as usize > STRAYS => return Read::Fault(TOO_MANY),
            Reader::Poll { rest: Some(rest), .. } if rest.unread.len() > STRAYS => {
                return Read::Fault(TOO_MANY);
            }
            _ => return Read::More,
        };
        let Some(begun) = slot else { return Read::More };
        match begun.assembler.poll() {
            Ok(Some(item)) => {
                begun.came();
                let says_nothing = matches!(item, Incoming::Ping(_) | Incoming::Pong | Incoming::Crumb);
                if says_nothing && !quota.take(begun.fed) {
                    return Read::Fault(ProtocolFault::Flood);
                }
                Read::Item(item)
            }
            Ok(None) if begun.assembler.is_idle() => {
                if begun.ahead.is_empty() {
                    *slot = None;
                }
                Read::More
            }
            Ok(None) if begun.wait() => Read::More,
            Ok(None) => Read::Fault(ProtocolFault::Unfinished),
            Err(fault) => Read::Fault(fault),
        }
    }

    /// Takes the beginning of the connection's next request.
    pub fn take_unread(&mut self) -> Bytes {
        match self {
            Reader::Poll { rest: Some(rest), .. } => std::mem::take(&mut rest.unread).into(),
            _ => Bytes::new(),
        }
    }
}

impl Begun {
    fn new(terms: &EndpointConfig, now: Tick) -> Self {
        Begun {
            assembler: Assembler::new(terms.max_message),
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            slow_timer: SlowPeerTimer::new(terms.max_idle.unwrap_or(UNFINISHED)),
            counted: None,
            drafted: 0,
            fed: now,
        }
    }

    fn feed(&mut self, bytes: &[u8], now: Tick) {
        self.assembler.feed(bytes);
        self.counted.get_or_insert(now);
        self.fed = now;
    }

    /// Something whole came. A control frame inside of a message changes nothing for the message.
    fn came(&mut self) {
        if self.assembler.drafted().is_none() {
            self.slow_timer.renew();
            (self.counted, self.drafted) = (None, 0);
        }
    }

    /// Nothing whole came. `false` if what is begun has taken too long.
    fn wait(&mut self) -> bool {
        let Some(counted) = &mut self.counted else { return true };
        let waited = self.fed.since(std::mem::replace(counted, self.fed));
        // Of the message only: a peer that sends pings all the time does not go on with it.
        let drafted = self.assembler.drafted().unwrap_or(0);
        let came = drafted.saturating_sub(self.drafted);
        self.drafted = drafted;
        self.slow_timer.wait(waited, came)
    }
}

const TOO_MANY: ProtocolFault = ProtocolFault::Protocol("unasked bytes");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use abeyance_settings::endpoint::EndpointOptions;

    const PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];
    const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];
    const EMPTY: &[u8] = &[0x00, 0x80, 0, 0, 0, 0];
    const BYTE: &[u8] = &[0x00, 0x81, 0, 0, 0, 0, b'x'];
    const BEGIN: &[u8] = &[0x02, 0x81, 0, 0, 0, 0, b'x'];
    const END: &[u8] = &[0x80, 0x81, 0, 0, 0, 0, b'x'];

    /// A reader of frames, and the time it is.
    struct Desk {
        reader: Reader,
        terms: EndpointConfig,
        now: Tick,
    }

    impl Desk {
        fn new() -> Self {
            let terms =
                EndpointOptions { max_idle: Some(Some(SECOND * 60)), ..EndpointOptions::default() }.resolve();
            let exchange = PollExchange { version_11: true, keep_alive: true, is_batch: false, rest: None };
            Desk { reader: Reader::new(WireForm::WebSocket, exchange), terms, now: Tick(0) }
        }

        /// Feeds some bytes; says how many messages came of them, or what is wrong.
        fn feed(&mut self, bytes: &[u8]) -> Result<usize, ProtocolFault> {
            let mut messages = 0;
            self.reader.feed(bytes, &self.terms, self.now);
            loop {
                match self.reader.next_item() {
                    Read::More => return Ok(messages),
                    Read::Item(item) => messages += usize::from(matches!(item, Incoming::Message(_))),
                    Read::Fault(fault) => return Err(fault),
                }
            }
        }

        /// Feeds the same every `span`; says how often that went well, and what was wrong then.
        fn feed_every(&mut self, span: Duration, bytes: &[u8]) -> (u32, Option<ProtocolFault>) {
            for fed in 0..10_000 {
                self.now = self.now.plus(span);
                if let Err(fault) = self.feed(bytes) {
                    return (fed, Some(fault));
                }
            }
            (10_000, None)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_reader_is_no_larger_than_what_a_long_poll_needs() {
        assert_eq!(size_of::<Reader>(), 16);
    }

    #[test]
    fn frames_that_say_nothing_are_let_pass_up_to_their_allowance() {
        for flood in [PING, PONG] {
            let mut desk = Desk::new();
            assert_eq!(
                desk.feed_every(Duration::ZERO, flood),
                (FrameQuota::AT_ONCE, Some(ProtocolFault::Flood))
            );
        }
        for flood in [EMPTY, BYTE] {
            let mut desk = Desk::new();
            assert_eq!(desk.feed(BEGIN), Ok(0));
            assert_eq!(
                desk.feed_every(Duration::ZERO, flood),
                (FrameQuota::AT_ONCE - 1, Some(ProtocolFault::Flood))
            );
        }
    }

    #[test]
    fn a_client_that_pings_every_second_may_do_so_for_ever() {
        assert_eq!(Desk::new().feed_every(SECOND, PING), (10_000, None));
    }

    #[test]
    fn messages_are_no_flood_however_small_and_in_parts_neither() {
        let whole = [&[0x81, 0x80, 0, 0, 0, 0][..]; 10].concat();
        assert_eq!(Desk::new().feed_every(Duration::ZERO, &whole), (10_000, None));
        let mut part = vec![0x02, 0xfe, 0x10, 0x00, 0, 0, 0, 0];
        part.resize(8 + 0x1000, 0);
        let mut end = part.clone();
        end[0] = 0x80;
        assert_eq!(Desk::new().feed_every(Duration::ZERO, &[part, end].concat()), (10_000, None));
    }

    #[test]
    fn a_message_that_never_ends_is_given_up_after_as_long_as_silence_would_be() {
        for crumb in [EMPTY, BYTE] {
            let mut desk = Desk::new();
            assert_eq!(desk.feed(BEGIN), Ok(0));
            assert_eq!(desk.feed_every(9 * SECOND, crumb), (6, Some(ProtocolFault::Unfinished)));
        }
    }

    #[test]
    fn a_frame_that_trickles_is_given_up_too() {
        let mut desk = Desk::new();
        assert_eq!(desk.feed(&[0x82, 0xfe, 0x10, 0x00, 0, 0, 0, 0]), Ok(0));
        assert_eq!(desk.feed_every(9 * SECOND, b"x"), (6, Some(ProtocolFault::Unfinished)));
        // Not even its header comes to an end.
        let mut desk = Desk::new();
        desk.terms.max_idle = Some(10 * SECOND);
        assert_eq!(desk.feed(&[0x82]), Ok(0));
        assert_eq!(desk.feed_every(9 * SECOND, &[0xff]), (1, Some(ProtocolFault::Unfinished)));
    }

    #[test]
    fn pings_between_the_parts_of_a_message_do_not_keep_it_alive() {
        let mut desk = Desk::new();
        assert_eq!(desk.feed(BEGIN), Ok(0));
        let mut large = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
        large.resize(6 + 125, 0);
        assert_eq!(desk.feed_every(SECOND, &large), (59, Some(ProtocolFault::Unfinished)));
    }

    #[test]
    fn a_message_that_comes_slowly_but_steadily_is_waited_for() {
        let mut desk = Desk::new();
        let mut part = vec![0x00, 0xfe, 0x02, 0x00, 0, 0, 0, 0];
        part.resize(8 + 0x200, 0);
        assert_eq!(desk.feed(BEGIN), Ok(0));
        for _ in 0..100 {
            desk.now = desk.now.plus(SECOND);
            assert_eq!(desk.feed(&part), Ok(0));
        }
        assert_eq!(desk.feed(END), Ok(1));
    }

    #[test]
    fn a_message_that_is_whole_at_last_is_heard_however_long_it_took() {
        let mut desk = Desk::new();
        assert_eq!(desk.feed(BEGIN), Ok(0));
        desk.now = desk.now.plus(3600 * SECOND);
        assert_eq!(desk.feed(END), Ok(1));
    }

    #[test]
    fn what_stands_behind_a_message_does_not_age_while_the_application_has_the_message() {
        let mut desk = Desk::new();
        assert_eq!(desk.feed(&[BEGIN, END, BEGIN].concat()), Ok(1));
        // `on_message` took its time, and the rest lay in the kernel.
        desk.now = desk.now.plus(3600 * SECOND);
        assert_eq!(desk.feed(BYTE), Ok(0));
        assert_eq!(desk.feed(END), Ok(1));
    }

    #[test]
    fn where_silence_is_unbounded_a_message_is_not() {
        let mut desk = Desk::new();
        desk.terms.max_idle = None;
        assert_eq!(desk.feed(BEGIN), Ok(0));
        assert_eq!(desk.feed_every(10 * SECOND, EMPTY), (29, Some(ProtocolFault::Unfinished)));
    }

    #[test]
    fn what_was_read_ahead_comes_in_order_and_is_counted_until_it_is_taken() {
        let mut desk = Desk::new();
        let message = |letter: u8| vec![0x82, 0x81, 0, 0, 0, 0, letter];
        let close = [0x88, 0x80, 0, 0, 0, 0];
        desk.reader.feed(&[message(b'a'), message(b'b'), close.to_vec()].concat(), &desk.terms, desk.now);
        assert!(matches!(desk.reader.look(), Read::Item(Incoming::Close { .. })));
        assert_eq!(desk.reader.ahead(), 2 * (1 + AHEAD));
        for letter in [b'a', b'b'] {
            match desk.reader.next_item() {
                Read::Item(Incoming::Message(message)) => assert_eq!(message.as_bytes(), [letter]),
                _ => panic!("a message that was read ahead"),
            }
        }
        assert_eq!((desk.reader.ahead(), desk.reader.bytes()), (0, 0));
    }

    /// Whole frames and bytes that are none.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let frames = [PING, PONG, EMPTY, BYTE, BEGIN, END].map(<[u8]>::to_vec);
        prop_oneof![20 => prop::sample::select(frames.to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..20)]
    }

    proptest! {
        /// With any bytes at any time: in the end a message is whole, or it was begun no longer ago than is allowed.
        #[test]
        fn nothing_is_begun_for_longer_than_it_may_be(
            turns in prop::collection::vec((0..50u64, any_bytes()), 0..100),
        ) {
            let mut desk = Desk::new();
            let mut begun = None;
            for (pause, bytes) in turns {
                desk.now = desk.now.plus(SECOND * pause as u32);
                let Ok(messages) = desk.feed(&bytes) else { break };
                let Reader::Frames { begun: slot, .. } = &desk.reader else { unreachable!("it reads frames") };
                let is_begun = slot.as_ref().is_some_and(|slot| slot.assembler.drafted().is_some());
                if messages > 0 || !is_begun {
                    begun = None;
                }
                if is_begun {
                    // A hundred turns bring a message no more than a few seconds' worth.
                    prop_assert!(desk.now.since(*begun.get_or_insert(desk.now)) < 70 * SECOND);
                }
            }
        }
    }
}
