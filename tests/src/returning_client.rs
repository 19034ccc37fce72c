//! A client that reconnects with its last id, by server-sent events or long polling, after any kind of cut.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use abeyance::memory::Dialer;
use tokio::time::timeout;

use crate::event_reader::{Event, EventReader};
use crate::reader::{Answer, Reader};

/// The address of these clients.
const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)), 9);

/// One client, over all its connections.
#[derive(Debug)]
pub struct ReturningClient {
    dialer: Dialer,
    path: String,
    accept: Option<&'static str>,
    /// A connection on which the next request may go.
    kept: Option<Reader>,
    /// The id that it sends with the next request.
    pub id: Option<String>,
    /// The messages that it got.
    pub got: Vec<Got>,
    /// How many resyncs it got.
    pub resyncs: usize,
    /// How many messages it had got at each resync.
    pub resynced_at: Vec<usize>,
    /// The cause of the last hold's end, if the server sent it: `timeout` and so on.
    pub last_end: Option<String>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The id that came with it; of several messages in one answer only the last has one.
    pub id: Option<String>,
    /// The message.
    pub text: String,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It closes its side.
    Fin,
    /// It resets the connection.
    Reset,
    /// Its network is gone: the server gets neither FIN nor RST.
    Vanish,
}

impl Cut {
    /// Every way to leave.
    pub const ALL: [Cut; 3] = [Cut::Fin, Cut::Reset, Cut::Vanish];

    /// Leaves that way.
    pub async fn cut(self, mut reader: Reader) {
        use tokio::io::AsyncWriteExt;
        match self {
            Cut::Fin => {
                reader.stream.shutdown().await.expect("a FIN is always taken");
                // A close with unread bytes would be a reset.
                tokio::spawn(async move { reader.rest().await });
            }
            Cut::Reset => reader.stream.reset(),
            Cut::Vanish => reader.stream.vanish(),
        }
    }
}

impl ReturningClient {
    /// A new client; `path` has a query.
    pub fn new(dialer: &Dialer, path: impl Into<String>) -> Self {
        ReturningClient {
            dialer: dialer.clone(),
            path: path.into(),
            accept: None,
            kept: None,
            id: None,
            got: Vec::new(),
            resyncs: 0,
            resynced_at: Vec::new(),
            last_end: None,
        }
    }

    /// Starts with this id.
    pub fn with_id(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// Accepts a poll's answer as lines.
    pub fn taking_lines(mut self) -> Self {
        self.accept = Some("application/x-ndjson");
        self
    }

    /// The texts of its messages.
    pub fn texts(&self) -> Vec<&str> {
        self.got.iter().map(|got| got.text.as_str()).collect()
    }

    /// The offsets in the ids of its messages.
    pub fn offsets(&self) -> Vec<&str> {
        let ids = self.got.iter().filter_map(|got| got.id.as_deref());
        ids.map(|id| id.split(['-', '.']).nth(1).expect("an id of two parts or three")).collect()
    }

    /// Polls once, and keeps the messages and the id of the answer.
    ///
    /// # Panics
    /// When the answer has no id.
    pub async fn poll(&mut self) -> Answer {
        let mut reader = self.ask().await;
        let answer = reader.answer().await.expect("a poll is answered");
        if answer.head.is_kept() {
            self.kept = Some(reader);
        }
        let id = answer.head.get("last-event-id").unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned();
        if answer.head.get("abeyance-resync") == Some("true") {
            self.resynced();
        }
        if answer.head.status == 200 {
            let is_batch = answer.head.get("content-type") == Some("application/x-ndjson");
            let texts: Vec<_> = match is_batch {
                true => answer.body.lines().map(|line| line.trim_matches('"').to_owned()).collect(),
                false => vec![answer.body.clone()],
            };
            self.got.extend(texts.into_iter().map(|text| Got { id: None, text }));
            if let Some(last) = self.got.last_mut() {
                last.id = Some(id.clone());
            }
        }
        self.id = Some(id);
        answer
    }

    /// Polls, and is cut after so many bytes of the answer: it keeps nothing of it.
    pub async fn poll_cut(&mut self, bytes: usize, cut: Cut) {
        self.kept = None;
        let mut reader = self.ask_with("connection: close\r\n").await;
        let mut count = 0;
        while count < bytes {
            match reader.some(bytes - count).await.expect("a poll is answered").len() {
                0 => return,
                more => count += more,
            }
        }
        cut.cut(reader).await;
    }

    /// Reads events until `bytes` of the body have come or `is_enough`; then it is cut. Returns whether that was in the middle
    /// of an event.
    ///
    /// # Panics
    /// When neither happens within an hour.
    pub async fn listen(&mut self, bytes: usize, cut: Cut, is_enough: impl Fn(&Self) -> bool) -> bool {
        // An hour of the paused clock: a message that is lost would hang the test.
        let listen = timeout(Duration::from_secs(3600), self.listen_until(bytes, cut, is_enough));
        listen.await.expect("enough within the hour")
    }

    async fn listen_until(&mut self, bytes: usize, cut: Cut, is_enough: impl Fn(&Self) -> bool) -> bool {
        let mut reader = self.ask().await;
        let head = reader.head().await.expect("a head");
        assert_eq!(head.status, 200, "{head:?}");
        let mut events = EventReader::default();
        let mut count = 0;
        while count < bytes && !is_enough(self) {
            // In small parts, so that `is_enough` can stop in the middle of what came at once.
            let part = reader.some((bytes - count).min(64)).await.expect("a body");
            if part.is_empty() {
                assert!(events.is_over(), "the server cut it");
                return false;
            }
            count += part.len();
            events.feed(&part);
            while let Some(event) = events.next_event() {
                self.take(event);
            }
            if events.last_event_id.is_some() {
                self.id.clone_from(&events.last_event_id);
            }
        }
        cut.cut(reader).await;
        !events.is_between()
    }

    fn take(&mut self, event: Event) {
        match event.kind.as_str() {
            "" => self.got.push(Got { id: event.id, text: event.data }),
            "hold" => {}
            "resync" => {
                assert_eq!(event.data, "missed");
                self.resynced();
            }
            "resumed" => self.last_end = Some(event.data),
            other => panic!("{other:?}"),
        }
    }

    fn resynced(&mut self) {
        self.resyncs += 1;
        self.resynced_at.push(self.got.len());
    }

    async fn ask(&mut self) -> Reader {
        self.ask_with("").await
    }

    async fn ask_with(&mut self, lines: &str) -> Reader {
        let kept = self.kept.take();
        let mut reader =
            kept.unwrap_or_else(|| Reader::new(self.dialer.connect(FROM).expect("the server listens")));
        let mut request = format!("GET {} HTTP/1.1\r\nhost: a\r\n{lines}", self.path);
        for (name, value) in [("last-event-id", self.id.as_deref()), ("accept", self.accept)] {
            if let Some(value) = value {
                request += &format!("{name}: {value}\r\n");
            }
        }
        reader.write(request + "\r\n").await;
        reader
    }
}
