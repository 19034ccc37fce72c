//! Dropping for peers that read too slowly: exactly what does not fit, counted, and never what was promised.

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::keeper::ended::Ended;
use crate::keeper::held::{Held, SendError};
use crate::keeper::hub::Hub;
use abeyance_core::mechanisms::send_buffer::SendBuffer;
use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::words::cause::Resume;
use abeyance_core::words::message::Message;
use abeyance_settings::endpoint::WhenSlow::{self, Disconnect, DropNewest, DropOldest};

const BOUND: usize = 32 << 10;
const RULES: [WhenSlow; 2] = [DropOldest, DropNewest];

fn dropping(rule: WhenSlow) -> EndpointOptions {
    EndpointOptions { send_buffer: Some(BOUND), when_slow: Some(rule), ..STILL }
}

/// A server and one open hold in it, which has joined `a` and reads nothing.
fn one_that_does_not_read(rule: WhenSlow) -> (TestServer, TestHold) {
    let server = TestServer::of(dropping(rule));
    let test_hold = server.suspend(SSE);
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    test_hold.peer_io.window(0);
    (server, test_hold)
}

/// A message that says which one it is, of so many bytes.
fn numbered(number: usize, length: usize) -> Message {
    format!("{number:<length$}").into()
}

/// As it is written.
fn written(message: &Message) -> String {
    String::from_utf8(Encoded::new(message).form(SSE).to_vec()).unwrap()
}

/// How many pieces of this size may wait in so much room: the last needs no more than its bytes.
fn fitting(room: usize, length: usize) -> usize {
    (room - length) / (length + SendBuffer::COST) + 1
}

impl TestHold {
    /// What the peer gets when it reads again.
    fn read(&self) -> String {
        self.peer_io.window(usize::MAX);
        assert!(self.flush().is_ready());
        self.peer_io.text()
    }

    fn ended(&self) -> Ended {
        Ended::of(&self.hold, false)
    }
}

/// Which of `count` numbers are kept where `most` fit.
fn kept(rule: WhenSlow, count: usize, most: usize) -> std::ops::Range<usize> {
    match rule {
        DropOldest => count - most..count,
        _ => 0..most,
    }
}

#[test]
fn exactly_the_newest_or_the_oldest_that_fit_are_kept_however_large_they_are() {
    // With framing and overhead 1,024 B, so that 32 fill the bound to its last byte, and some that do not divide it.
    for length in [952, 951, 953, 5, 700, 12_000, 16_312, 32_000] {
        for rule in RULES {
            let (server, test_hold) = one_that_does_not_read(rule);
            let most = fitting(BOUND, length + "data: \n\n".len());
            let count = 2 * most + 3;
            let accepted: usize =
                (0..count).map(|number| server.keeper.publish("a", &numbered(number, length))).sum();
            let kept = kept(rule, count, most);
            let text: String = kept.map(|number| written(&numbered(number, length))).collect();
            assert!(test_hold.read() == text, "{rule:?} {length}");
            assert_eq!(test_hold.cause(), None);
            // What was queued once was accepted, although it was dropped later.
            assert_eq!(accepted, if rule == DropOldest { count } else { most });
            let ended = test_hold.ended();
            assert_eq!((ended.dropped(), ended.undelivered()), ((count - most) as u64, 0));
            assert_eq!(ended.messages_out(), most as u64);
        }
    }
}

#[test]
fn a_message_half_written_is_finished_and_the_rest_is_what_fits_beside_it() {
    for length in [952, 700, 5_000] {
        for (rule, taken) in RULES.into_iter().flat_map(|rule| [(rule, 1), (rule, 600)]) {
            let (server, test_hold) = one_that_does_not_read(rule);
            test_hold.peer_io.window(taken);
            let framed = length + "data: \n\n".len();
            let most = fitting(BOUND - (framed - taken + SendBuffer::COST), framed);
            let count = 2 * most + 3;
            for number in 0..=count {
                server.keeper.publish("a", &numbered(number, length));
            }
            let kept = kept(rule, count, most).map(|number| number + 1);
            let text: String =
                [0].into_iter().chain(kept).map(|number| written(&numbered(number, length))).collect();
            assert!(test_hold.read() == text, "{rule:?} {length} {taken}");
            assert_eq!(test_hold.ended().dropped(), (count - most) as u64);
        }
    }
}

#[test]
fn what_comes_while_the_hold_opens_is_dropped_by_the_same_rule() {
    for (rule, form) in RULES.into_iter().flat_map(|rule| [(rule, SSE), (rule, WireForm::LongPoll)]) {
        let server = TestServer::of(dropping(rule));
        let test_hold = server.seat(server.admit(0, 1).unwrap(), 0, form, None).unwrap();
        server.keeper.join(&test_hold.hold, "a".into()).unwrap();
        let (length, count) = (700, 100);
        // A long poll's own answer waits as well, and is promised.
        let own = if form == WireForm::LongPoll { 3_000 } else { 0 };
        Held::new(test_hold.hold.clone()).send(numbered(0, 3_000)).unwrap();
        let room = BOUND - own - own.min(1) * SendBuffer::COST;
        let most = fitting(room, length);
        for number in 0..count {
            server.keeper.publish("a", &numbered(number, length));
        }
        assert_eq!(test_hold.ended().dropped(), (count - most) as u64);
        test_hold.hold.open(vec![]);
        let mut expected = vec![numbered(0, 3_000)];
        expected.extend(kept(rule, count, most).map(|number| numbered(number, length)));
        match form {
            WireForm::LongPoll => {
                let last_messages =
                    test_hold.hold.end_request().unwrap().last_messages.into_iter().map(|last| last.message);
                assert!(last_messages.eq(expected), "{rule:?}");
            }
            _ => assert!(test_hold.read() == expected.iter().map(written).collect::<String>(), "{rule:?}"),
        }
    }
}

#[test]
fn what_was_sent_to_the_peer_alone_is_never_dropped_and_drops_nothing() {
    for rule in RULES {
        let (server, test_hold) = one_that_does_not_read(rule);
        let held = Held::new(test_hold.hold.clone());
        let mut expected = Vec::new();
        for number in 0..3 {
            held.send(numbered(number, 9_000)).unwrap();
            assert_eq!(server.keeper.publish("a", &numbered(10 + number, 800)), 1);
            expected.extend([numbered(number, 9_000), numbered(10 + number, 800)]);
        }
        assert_eq!(held.send(numbered(3, 9_000)), Err(SendError::Full(numbered(3, 9_000))));
        assert_eq!(test_hold.ended().dropped(), 0, "a send drops nothing");
        // Even without all that was published there would be no room for this: it is dropped, and nothing else.
        assert_eq!(server.keeper.publish("a", &numbered(20, 9_000)), 0);
        assert_eq!((test_hold.ended().dropped(), test_hold.cause()), (1, None));
        assert!(test_hold.read() == expected.iter().map(written).collect::<String>());
    }
}

#[test]
fn heads_and_pongs_are_never_dropped() {
    let (server, test_hold) = one_that_does_not_read(DropOldest);
    test_hold.hold.write("head ".into()).unwrap();
    server.keeper.publish("a", &numbered(0, 30_000));
    test_hold.hold.pong("pong ".into()).unwrap();
    server.keeper.publish("a", &numbered(1, 30_000));
    assert!(test_hold.read() == format!("head pong {}", written(&numbered(1, 30_000))));
}

#[test]
fn a_message_larger_than_the_backlog_drops_nothing_and_is_not_counted() {
    for rule in RULES {
        let (server, test_hold) = one_that_does_not_read(rule);
        server.keeper.publish("a", &numbered(0, 100));
        assert_eq!(server.keeper.publish("a", &numbered(1, BOUND)), 0);
        assert_eq!(test_hold.ended().dropped(), 0);
        assert!(test_hold.read() == written(&numbered(0, 100)));
    }
}

#[test]
fn what_the_kernel_keeps_takes_room_too_and_is_looked_at_once_a_message() {
    let (server, test_hold) = one_that_does_not_read(DropOldest);
    test_hold.peer_io.window(20_000);
    server.keeper.publish("a", &numbered(0, 19_992));
    test_hold.peer_io.keep(20_000);
    for number in 1..=100 {
        server.keeper.publish("a", &numbered(number, 992));
    }
    let most = fitting(BOUND - 20_000, 1_000);
    assert_eq!(test_hold.ended().dropped(), 100 - most as u64);
    assert!(test_hold.peer_io.looks() <= 100, "{}", test_hold.peer_io.looks());
}

#[test]
fn every_drop_is_counted_once_for_its_hold_its_endpoint_and_all() {
    let endpoints = [dropping(DropOldest), dropping(DropNewest), dropping(Disconnect)];
    let server = TestServer::new(ServerConfig::default(), &endpoints);
    let seat = |endpoint| {
        let test_hold = server.seat(server.admit(endpoint, 1).unwrap(), endpoint, SSE, None).unwrap();
        test_hold.hold.open(Vec::new());
        server.keeper.join(&test_hold.hold, "a".into()).unwrap();
        test_hold.peer_io.window(0);
        test_hold
    };
    let test_holds = [0, 0, 1, 2].map(seat);
    for number in 0..10 {
        server.keeper.publish("a", &numbered(number, 10_000));
    }
    assert_eq!(test_holds.each_ref().map(|test_hold| test_hold.ended().dropped()), [7, 7, 7, 0]);
    assert_eq!(test_holds.each_ref().map(TestHold::cause), [None, None, None, Some("slow")]);
    let hub = Hub::new(server.keeper.clone());
    let by_endpoint: Vec<_> = hub.stats_by_endpoint().into_iter().map(|(_, stats)| stats.dropped).collect();
    assert_eq!((by_endpoint, hub.stats().dropped), (vec![14, 7, 0], 21));
    // What was dropped is not undelivered as well; what still waits is.
    server.keeper.end(&test_holds[0].hold, Resume::Released.into());
    server.keeper.settle(&test_holds[0].hold);
    let ended = test_holds[0].ended();
    assert_eq!((ended.messages_out(), ended.undelivered(), ended.dropped()), (0, 3, 7));
    assert_eq!((test_holds[3].ended().undelivered(), test_holds[3].ended().dropped()), (3, 0));
    assert_eq!(hub.stats().dropped, 21);
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_not_stalled_by_what_was_dropped() {
    let server_config = ServerConfig { write_timeout: secs(10), ..ServerConfig::default() };
    let server = TestServer::new(server_config, &[dropping(DropOldest)]);
    let test_hold = server.suspend(SSE);
    server.keeper.join(&test_hold.hold, "a".into()).unwrap();
    test_hold.peer_io.window(0);
    let pass = async |span: u64| {
        for _ in 0..span * 40 {
            advance(millis(25)).await;
            server.keeper.sweep();
        }
    };
    server.keeper.publish("a", &numbered(0, 30_000));
    pass(9).await;
    // It reads again, and before its task runs, the next message takes the place of the one that was blocked.
    test_hold.peer_io.window(usize::MAX);
    server.keeper.publish("a", &numbered(1, 30_000));
    assert!(test_hold.peer_io.text() == written(&numbered(1, 30_000)));
    pass(20).await;
    assert_eq!(test_hold.cause(), None);
    // One that goes on taking nothing is stalled, although messages are dropped meanwhile.
    test_hold.peer_io.window(0);
    for number in 2..12 {
        assert_eq!(test_hold.cause(), None);
        server.keeper.publish("a", &numbered(number, 30_000));
        pass(1).await;
    }
    pass(1).await;
    assert_eq!(test_hold.cause(), Some("stalled"));
}

/// One list in which everything waits, and what is dropped is searched for.
#[derive(Default)]
struct Naive {
    waiting: Vec<(bool, Message)>,
    offset: usize,
    out: String,
    dropped: u64,
}

impl Naive {
    fn cost(&self) -> usize {
        let each = |(_, message): &(bool, Message)| written(message).len() + SendBuffer::COST;
        self.waiting.iter().map(each).sum::<usize>() - self.offset
    }

    /// Says whether it was accepted.
    fn add(&mut self, rule: WhenSlow, is_published: bool, message: Message) -> bool {
        let length = written(&message).len();
        let mut left: Vec<_> =
            self.waiting.iter().enumerate().map(|(at, (published, _))| (at, *published)).collect();
        let droppable = |left: &[(usize, bool)]| {
            left.iter().position(|(at, published)| *published && (*at > 0 || self.offset == 0))
        };
        let mut cost = self.cost();
        while cost + length > BOUND {
            let index = if is_published && rule == DropOldest { droppable(&left) } else { None };
            let Some(index) = index else {
                self.dropped += u64::from(is_published);
                return false;
            };
            cost -= written(&self.waiting[left.remove(index).0].1).len() + SendBuffer::COST;
        }
        self.dropped += (self.waiting.len() - left.len()) as u64;
        self.waiting = left.iter().map(|(at, _)| self.waiting[*at].clone()).collect();
        self.waiting.push((is_published, message));
        true
    }

    fn take(&mut self, mut count: usize) {
        while let Some((_, message)) = self.waiting.first()
            && count > 0
        {
            let text = written(message);
            let taken = count.min(text.len() - self.offset);
            self.out += &text[self.offset..self.offset + taken];
            count -= taken;
            self.offset += taken;
            if self.offset == text.len() {
                self.offset = 0;
                self.waiting.remove(0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_of_sending_and_reading_the_peer_gets_what_fits(
        rule in 0usize..2,
        steps in prop::collection::vec((0u8..5, 10usize..12_000), 0..120),
    ) {
        let rule = RULES[rule];
        let (server, test_hold) = one_that_does_not_read(rule);
        let mut naive = Naive::default();
        for (number, (step, length)) in steps.into_iter().enumerate() {
            let message = numbered(number, length);
            match step {
                0 => {
                    let sent = Held::new(test_hold.hold.clone()).send(message.clone()).is_ok();
                    prop_assert_eq!(sent, naive.add(rule, false, message));
                }
                1 => {
                    test_hold.peer_io.window(length);
                    let _ = test_hold.flush();
                    test_hold.peer_io.window(0);
                    naive.take(length);
                }
                _ => {
                    let count = server.keeper.publish("a", &message);
                    prop_assert_eq!(count == 1, naive.add(rule, true, message));
                }
            }
            prop_assert_eq!(test_hold.hold.outbox().waiting(), naive.cost());
            prop_assert_eq!(test_hold.ended().dropped(), naive.dropped);
            prop_assert_eq!(test_hold.cause(), None);
        }
        naive.take(usize::MAX);
        prop_assert!(test_hold.read() == naive.out);
    }
}
