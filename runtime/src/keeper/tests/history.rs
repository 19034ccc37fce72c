//! Random histories: after every step in any order the counts are right, and at the end the keeper is empty.

use std::collections::HashMap;
use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::keeper::message_class::MessageClass;
use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::message::Message;
use abeyance_core::words::retention::{Pattern, Retention, Rule};
use abeyance_settings::endpoint::{WhenFull, WhenSlow};

const TOPICS: [&str; 3] = ["a", "b", "c"];
/// Little more than two send buffers.
const MEMORY: usize = 70_000;
const KEYS: [Option<&str>; 3] = [None, Some("one"), Some("two")];

#[derive(Clone, Debug)]
enum Step {
    Admit { endpoint: u32, peer: u8 },
    Forget(usize),
    Suspend { admission: usize, form: usize, key: usize },
    Open(usize),
    Join(usize, usize),
    Leave(usize, usize),
    Publish(usize, usize),
    Send(usize, usize),
    Window(usize, usize),
    Flush(usize),
    PauseReads(usize),
    Listen(usize),
    Life(usize),
    Pass(u64),
    End(usize, usize),
    Settle(usize),
    CloseDoors,
    EndKey(usize),
    EndAll,
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0usize..12;
    let small = || 0usize..3;
    prop_oneof![
        8 => (0u32..3, 1u8..4).prop_map(|(endpoint, peer)| Step::Admit { endpoint, peer }),
        1 => which().prop_map(Step::Forget),
        8 => (which(), 0usize..4, small())
            .prop_map(|(admission, form, key)| Step::Suspend { admission, form, key }),
        4 => which().prop_map(Step::Open),
        3 => (which(), small()).prop_map(|(hold, topic)| Step::Join(hold, topic)),
        1 => (which(), small()).prop_map(|(hold, topic)| Step::Leave(hold, topic)),
        3 => (small(), 0usize..40_000).prop_map(|(topic, length)| Step::Publish(topic, length)),
        3 => (which(), 0usize..40_000).prop_map(|(hold, length)| Step::Send(hold, length)),
        2 => (which(), 0usize..3).prop_map(|(hold, bytes)| Step::Window(hold, bytes)),
        2 => which().prop_map(Step::Flush),
        1 => which().prop_map(Step::PauseReads),
        1 => which().prop_map(Step::Listen),
        2 => which().prop_map(Step::Life),
        4 => (0u64..4_000).prop_map(Step::Pass),
        3 => (which(), 0usize..4).prop_map(|(hold, side)| Step::End(hold, side)),
        4 => which().prop_map(Step::Settle),
        1 => Just(Step::CloseDoors),
        1 => (1usize..3).prop_map(Step::EndKey),
        1 => Just(Step::EndAll),
    ]
}

/// What the history believes.
#[derive(Default)]
struct Model {
    admissions: Vec<(Option<Admission>, u32, u8)>,
    holds: Vec<Known>,
    settled: u64,
    /// How many messages were dropped of holds that have settled.
    dropped: u64,
    is_closed: bool,
}

struct Known {
    test_hold: TestHold,
    endpoint: u32,
    peer: u8,
    key: Option<&'static str>,
    first: Option<End>,
}

fn endpoints() -> [EndpointOptions; 3] {
    let clocks = EndpointOptions {
        timeout: Some(Some(secs(3))),
        max_idle: Some(Some(secs(4))),
        heartbeat: Some(Some(secs(1))),
        send_buffer: Some(32 << 10),
        ..EndpointOptions::NONE
    };
    let evicting = EndpointOptions { when_full: Some(WhenFull::ResumeOldest), ..clocks };
    [
        EndpointOptions { max_suspended: Some(3), max_per_peer: Some(2), max_per_key: Some(1), ..evicting },
        EndpointOptions {
            max_per_key: Some(2),
            max_lifetime: Some(Some(secs(10))),
            when_slow: Some(WhenSlow::DropOldest),
            ..evicting
        },
        EndpointOptions {
            max_suspended: Some(3),
            max_per_key: Some(1),
            when_slow: Some(WhenSlow::DropNewest),
            ..clocks
        },
    ]
}

fn server() -> TestServer {
    let server_config = ServerConfig {
        max_suspended: 6,
        max_per_peer: Some(4),
        max_per_key: Some(3),
        write_timeout: secs(1),
        max_buffered: MEMORY,
        topics: vec![Rule { pattern: Pattern::read("c").unwrap(), keep: Retention::default() }],
        ..ServerConfig::default()
    };
    TestServer::new(server_config, &endpoints())
}

async fn take(server: &TestServer, model: &mut Model, step: &Step) {
    let keeper = &server.keeper;
    let hold = |model: &Model, which: usize| model.holds.get(which).map(|known| known.test_hold.clone());
    match *step {
        Step::Admit { endpoint, peer } => match server.admit(endpoint, peer) {
            Ok(admission) => model.admissions.push((Some(admission), endpoint, peer)),
            Err(refused) => assert_eq!(refused == Refused::Draining, model.is_closed),
        },
        Step::Forget(which) if which < model.admissions.len() => drop(model.admissions.remove(which)),
        Step::Suspend { admission, form, key } if admission < model.admissions.len() => {
            let (admission, endpoint, peer) = model.admissions.remove(admission);
            let form =
                [SSE, WireForm::WebSocket, WireForm::Stream { chunked: true }, WireForm::LongPoll][form];
            let begun = server.seat(admission.unwrap(), endpoint, form, KEYS[key]);
            if let Ok(test_hold) = begun {
                assert!(!model.is_closed);
                model.holds.push(Known { test_hold, endpoint, peer, key: KEYS[key], first: None });
            }
        }
        Step::Publish(topic, length) => {
            keeper.publish(TOPICS[topic], &Message::from("x".repeat(length)));
        }
        Step::Pass(millis) => {
            let mut left = millis;
            while left > 0 {
                let span = left.min(40);
                advance(Duration::from_millis(span)).await;
                keeper.sweep();
                left -= span;
            }
        }
        Step::CloseDoors => {
            keeper.refuse_new_holds();
            model.is_closed = true;
        }
        Step::EndKey(key) => {
            let is_theirs =
                |known: &&Known| known.key == KEYS[key] && known.test_hold.hold.end_request().is_none();
            let theirs = model.holds.iter().filter(is_theirs).count();
            let name = KEYS[key].expect("a key");
            assert_eq!(keeper.end_key(name, &Resume::Released.into()), theirs);
            assert_eq!(model.holds.iter().filter(is_theirs).count(), 0);
        }
        Step::EndAll => {
            keeper.end_all(&Disconnect::Shutdown.into());
            assert_eq!(keeper.counts().held, 0);
        }
        Step::Open(which)
        | Step::Join(which, _)
        | Step::Leave(which, _)
        | Step::Send(which, _)
        | Step::Window(which, _)
        | Step::Flush(which)
        | Step::PauseReads(which)
        | Step::Listen(which)
        | Step::Life(which)
        | Step::End(which, _)
        | Step::Settle(which) => {
            let Some(test_hold) = hold(model, which) else { return };
            with_hold(keeper, model, &test_hold, which, step);
        }
        _ => {}
    }
}

fn with_hold(keeper: &Arc<Keeper>, model: &mut Model, test_hold: &TestHold, which: usize, step: &Step) {
    let TestHold { hold, peer_io } = test_hold;
    match *step {
        Step::Open(_) => hold.open(vec!["reply".into()]),
        Step::Join(_, topic) => {
            let _ = keeper.join(hold, TOPICS[topic].into());
        }
        Step::Leave(_, topic) => {
            let _ = keeper.leave(hold, TOPICS[topic]);
        }
        Step::Send(_, length) => {
            let has_ended = hold.end_request().is_some();
            let sent = hold.send(&Encoded::new(&"x".repeat(length).into()), MessageClass::Direct);
            assert!(!has_ended || sent.is_err());
        }
        Step::Window(_, bytes) => peer_io.window([0, 1_000, usize::MAX][bytes]),
        Step::Flush(_) => drop(test_hold.flush()),
        Step::PauseReads(_) => hold.pause_reads(),
        Step::Listen(_) => hold.resume_reads(),
        Step::Life(_) => hold.record_received(1, &**peer_io),
        Step::End(_, side) => {
            let sides: [End; 4] = [
                Resume::Released.into(),
                Disconnect::Gone.into(),
                Disconnect::Failed.into(),
                Disconnect::kicked(None, "spam").into(),
            ];
            let had_ended = hold.end_request().is_some();
            assert_eq!(keeper.end(hold, sides[side].clone().into()), !had_ended);
        }
        Step::Settle(_) => {
            if hold.end_request().is_some() {
                keeper.settle(hold);
                model.holds.remove(which);
                model.settled += 1;
                model.dropped += hold.outbox().dropped;
            }
        }
        _ => unreachable!("no step of one hold"),
    }
}

/// What must be true between any two steps.
fn check(server: &TestServer, model: &mut Model) {
    let counts = server.keeper.counts();
    assert!(counts.is_lawful(), "{counts:?}");
    assert_eq!(counts.ended.iter().sum::<u64>(), model.settled);
    assert!(counts.peak <= 6);
    let mut kinds: HashMap<(&str, String), usize> = HashMap::new();
    let mut seen = |group, name: String| *kinds.entry((group, name)).or_default() += 1;
    for known in &mut model.holds {
        let end_request = known.test_hold.hold.end_request().map(|end_request| end_request.end);
        if known.first.is_none() {
            known.first = end_request;
            if known.first.is_none() {
                seen("server", String::new());
                seen("endpoint", known.endpoint.to_string());
                seen("peer", known.peer.to_string());
                seen("endpoint and peer", format!("{} {}", known.endpoint, known.peer));
                if let Some(key) = known.key {
                    seen("endpoint and key", format!("{} {key}", known.endpoint));
                    seen("key", key.to_owned());
                }
            }
        } else {
            assert_eq!(end_request, known.first, "the first cause stands");
        }
    }
    let settings = endpoints();
    for ((group, name), count) in kinds {
        let endpoint = || &settings[name[..1].parse::<usize>().unwrap()];
        let limit = match group {
            "server" => Some(6),
            "endpoint" => endpoint().max_suspended,
            "peer" => Some(4),
            "key" => Some(3),
            "endpoint and peer" => endpoint().max_per_peer,
            _ => endpoint().max_per_key,
        };
        assert!(limit.is_none_or(|limit| count <= limit), "{group} {name}: {count}");
    }
    let held: Vec<_> = model.holds.iter().filter(|known| known.first.is_none()).collect();
    assert_eq!(counts.held, held.len());
    assert_eq!(counts.ending, model.holds.len() - held.len());
    for topic in TOPICS {
        for member in server.keeper.members(topic) {
            assert!(
                held.iter().any(|known| known.test_hold.hold.id == member.id),
                "a member that is not held"
            );
        }
    }
    let mut dropped = model.dropped;
    let mut waiting = 0;
    let mut could_pay = false;
    for known in &model.holds {
        let outbox = known.test_hold.hold.outbox();
        dropped += outbox.dropped;
        waiting += outbox.waiting();
        // All but a message half written to a hold whose end has begun.
        let is_rest =
            outbox.end_request.is_some() && outbox.send_buffer.is_torn() && outbox.send_buffer.pieces() == 1;
        could_pay |= outbox.waiting() > 0 && !is_rest;
    }
    assert_eq!(server.keeper.budget.waiting(), waiting);
    assert!(waiting <= MEMORY || !could_pay, "{waiting} bytes wait");
    let counted: u64 = server.keeper.dropped().iter().map(|count| count.load(Relaxed)).sum();
    assert_eq!(counted, dropped);
    let open = model.admissions.iter().flat_map(|(admission, ..)| admission).filter(|open| open.has_permit());
    assert_eq!(server.keeper.registry.lock().limits.taken(), held.len() + open.count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_books_are_right_after_every_step(steps in prop::collection::vec(step(), 0..120)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = server();
            let mut model = Model::default();
            let mut every: Vec<Weak<Hold>> = Vec::new();
            for step in &steps {
                take(&server, &mut model, step).await;
                check(&server, &mut model);
                if let (Step::Suspend { .. }, Some(known)) = (step, model.holds.last()) {
                    every.push(Arc::downgrade(&known.test_hold.hold));
                }
            }
            model.admissions.clear();
            server.keeper.end_all(&Disconnect::Shutdown.into());
            for known in std::mem::take(&mut model.holds) {
                server.keeper.settle(&known.test_hold.hold);
            }
            assert!(server.keeper.is_empty());
            assert!(every.iter().all(|hold| hold.upgrade().is_none()), "a hold is still alive");
            tokio::time::timeout(secs(1), server.keeper.quiet()).await.expect("quiet");
        });
    }
}
