//! Random histories: publishing, reading, cutting and forgetting in any order, each client gets what it missed,
//! once and in order, or is told that something of it is gone.

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use abeyance_core::words::cause::{Disconnect, End, Resume};
use abeyance_core::words::event_id::{Numbered, Position};

const TOPICS: [&str; 3] = ["count", "bytes", "age"];

/// What each client follows.
const CLIENTS: [&[&str]; 4] = [&["count"], &["bytes"], &["age"], &TOPICS];

#[derive(Clone, Debug)]
enum Step {
    Publish {
        topic: usize,
        length: usize,
    },
    Come {
        client: usize,
        is_poll: bool,
    },
    Open(usize),
    /// The connection is gone when the client has read so many events.
    Cut {
        client: usize,
        read: usize,
    },
    /// The hold ends in good order.
    Resume(usize),
    Window(usize, usize),
    Flush(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS.len();
    prop_oneof![
        8 => (0..TOPICS.len(), 0usize..800).prop_map(|(topic, length)| Step::Publish { topic, length }),
        5 => (client(), any::<bool>()).prop_map(|(client, is_poll)| Step::Come { client, is_poll }),
        5 => client().prop_map(Step::Open),
        2 => (client(), 0usize..6).prop_map(|(client, read)| Step::Cut { client, read }),
        2 => client().prop_map(Step::Resume),
        3 => (client(), 0usize..3).prop_map(|(client, size)| Step::Window(client, [0, 700, usize::MAX][size])),
        3 => client().prop_map(Step::Flush),
        2 => (0u64..600).prop_map(Step::Pass),
    ]
}

/// A client that comes back with the last id it was given.
struct Client {
    topics: &'static [&'static str],
    test_hold: Option<TestHold>,
    last: Option<EventId>,
    /// It has everything up to there, but for what it was told is gone.
    at: u64,
}

/// Everything that was published, the first at offset 1.
type Log = Vec<(&'static str, String)>;

impl Client {
    fn come(&mut self, server: &TestServer, log: &Log, form: WireForm) {
        if self.test_hold.is_some() {
            return;
        }
        let resume_point = self.last.map_or(ResumePoint::New, |id| server.back(Some(id)));
        let test_hold = server.arrive(form, self.topics, resume_point);
        let position = test_hold.hold.first_position();
        let id = position.id.expect("a client that wants the history comes back");
        match (self.last, position.is_lost) {
            (None, _) => assert!(!position.is_lost),
            (Some(_), true) => assert!(self.missed(log, id.offset).is_some(), "nothing is lost"),
            (Some(last), false) => assert_eq!(last, id),
        }
        (self.last, self.at, self.test_hold) = (Some(id), id.offset, Some(test_hold));
    }

    /// The first message of its own behind where it is, up to `until`.
    fn missed(&self, log: &Log, until: u64) -> Option<u64> {
        (self.at + 1..=until).find(|offset| self.topics.contains(&log[*offset as usize - 1].0))
    }

    fn get(&mut self, log: &Log, id: EventId, text: &str) {
        assert!(id.offset > self.at, "{} came twice", id.offset);
        assert_eq!(self.missed(log, id.offset), Some(id.offset), "out of order, or not its own");
        assert_eq!(log[id.offset as usize - 1].1, text);
        (self.at, self.last) = (id.offset, Some(id));
    }

    fn locate(&mut self, log: &Log, position: Position) {
        let Some(id) = position.id else { return };
        assert_eq!(self.missed(log, id.offset), None, "it stands at {}", id.offset);
        assert!(id.offset >= self.at);
        (self.at, self.last) = (id.offset, Some(id));
    }

    /// Its hold has ended: it reads what came, or the first part of it.
    fn part(&mut self, server: &TestServer, log: &Log, read: usize) {
        let Some(test_hold) = self.test_hold.take() else { return };
        let end_request = test_hold.hold.end_request().expect("an end");
        let text = test_hold.peer_io.text();
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        for block in whole.split("\n\n").filter(|block| !block.is_empty()).take(read) {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            self.get(log, EventId::read(field("id: ")).unwrap(), field("data: "));
        }
        if test_hold.hold.form == WireForm::LongPoll {
            let carried = &end_request.last_messages[..end_request.last_messages.len().min(read.max(1))];
            for Numbered { message, id } in carried {
                self.get(log, id.expect("kept messages have one"), message.as_text().unwrap());
            }
            self.locate(log, test_hold.hold.last_position(carried));
        } else if end_request.end == End::from(Resume::Timeout) {
            self.locate(log, test_hold.hold.last_position(&[]));
        }
        server.keeper.settle(&test_hold.hold);
    }
}

fn server() -> TestServer {
    let keeps = [
        ("count", Retention::new().count(3)),
        ("bytes", Retention::new().bytes(2_000)),
        ("age", Retention::new().age(secs(1))),
    ];
    let rule = |(text, keep): (&str, Retention)| Rule { pattern: Pattern::read(text).unwrap(), keep };
    // All topics together have no room for what each may keep.
    let server_config =
        ServerConfig { topics: keeps.map(rule).into(), max_retained: 6_000, ..ServerConfig::default() };
    TestServer::new(server_config, &[EndpointOptions { send_buffer: Some(3_000), ..STILL }])
}

async fn take(server: &TestServer, clients: &mut [Client], log: &mut Log, step: Step) {
    match step {
        Step::Publish { topic, length } => {
            let text = format!("{}{}", log.len(), "x".repeat(length));
            log.push((TOPICS[topic], text.clone()));
            server.publish(TOPICS[topic], &[&text]);
        }
        Step::Come { client, is_poll } => {
            clients[client].come(server, log, if is_poll { WireForm::LongPoll } else { SSE });
        }
        Step::Pass(millis) => {
            for _ in 0..=millis / 40 {
                advance(Duration::from_millis(40)).await;
                server.keeper.sweep();
            }
        }
        Step::Open(client)
        | Step::Cut { client, .. }
        | Step::Resume(client)
        | Step::Window(client, _)
        | Step::Flush(client) => {
            let Some(test_hold) = clients[client].test_hold.clone() else { return };
            match step {
                Step::Open(_) => test_hold.hold.open(Vec::new()),
                Step::Window(_, bytes) => test_hold.peer_io.window(bytes),
                Step::Flush(_) => drop(test_hold.flush()),
                Step::Cut { read, .. } => {
                    server.keeper.end(&test_hold.hold, Disconnect::Gone.into());
                    clients[client].part(server, log, read);
                }
                Step::Resume(_) => {
                    server.keeper.end(&test_hold.hold, Resume::Timeout.into());
                    // What waits goes out before the ending.
                    test_hold.peer_io.window(usize::MAX);
                    assert!(test_hold.flush().is_ready());
                    clients[client].part(server, log, usize::MAX);
                }
                _ => unreachable!("no step of one client"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_client_misses_a_message_without_being_told(steps in prop::collection::vec(step(), 0..120)) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = server();
            let mut log = Log::new();
            let mut clients =
                CLIENTS.map(|topics| Client { topics, test_hold: None, last: None, at: 0 });
            for step in steps {
                take(&server, &mut clients, &mut log, step).await;
                for client in &mut clients {
                    if client.test_hold.as_ref().is_some_and(|test_hold| test_hold.cause().is_some()) {
                        client.part(&server, &log, usize::MAX);
                    }
                }
            }
            for client in &mut clients {
                if let Some(test_hold) = client.test_hold.clone() {
                    server.keeper.end(&test_hold.hold, Disconnect::Gone.into());
                    client.part(&server, &log, usize::MAX);
                }
                // Undisturbed it gets all the rest.
                client.come(&server, &log, SSE);
                let test_hold = client.test_hold.clone().expect("came");
                test_hold.hold.open(Vec::new());
                server.keeper.end(&test_hold.hold, Disconnect::Gone.into());
                client.part(&server, &log, usize::MAX);
                assert_eq!(client.missed(&log, log.len() as u64), None);
            }
            assert!(server.keeper.is_empty());
        });
    }
}
