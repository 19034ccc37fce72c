//! A client that comes back with the id it was told last, by events or by polling, whatever cut it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use abeyance::memory::Dialer;
use tokio::time::timeout;

use crate::event_reader::{Event, EventReader};
use crate::reader::{Answer, Reader};

/// Where such clients come from.
const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)), 9);

/// One client, over all its connections.
#[derive(Debug)]
pub struct ReturningClient {
    dialer: Dialer,
    path: String,
    accept: Option<&'static str>,
    /// A connection on which the next request may go.
    kept: Option<Reader>,
    /// What it brings back.
    pub id: Option<String>,
    /// The messages that it got.
    pub got: Vec<Got>,
    /// How often it was told that it missed something.
    pub resyncs: usize,
    /// How many messages it had got each time.
    pub resynced_at: Vec<usize>,
    /// The name under which the last hold ended, if that was said: `timeout` and the like.
    pub farewell: Option<String>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The id that came with it; of several messages in one answer only the last has one.
    pub id: Option<String>,
    /// The message.
    pub text: String,
}

/// How a client goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It closes its side.
    Fin,
    /// It resets the connection.
    Reset,
    /// Its network is gone: the server is not told.
    Vanish,
}

impl Cut {
    /// Every way to go.
    pub const ALL: [Cut; 3] = [Cut::Fin, Cut::Reset, Cut::Vanish];

    /// Goes that way.
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
    /// A client that has never been here; `path` has a query.
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
            farewell: None,
        }
    }

    /// As one that was given this id before.
    pub fn with_id(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// As one that takes a poll's answer in lines.
    pub fn taking_lines(mut self) -> Self {
        self.accept = Some("application/x-ndjson");
        self
    }

    /// The texts that it got.
    pub fn texts(&self) -> Vec<&str> {
        self.got.iter().map(|got| got.text.as_str()).collect()
    }

    /// The places in the sequence of the messages that came with an id.
    pub fn offsets(&self) -> Vec<&str> {
        let ids = self.got.iter().filter_map(|got| got.id.as_deref());
        ids.map(|id| id.split(['-', '.']).nth(1).expect("an id of two parts or three")).collect()
    }

    /// Polls once, and learns what the answer says.
    ///
    /// # Panics
    /// When the answer does not say where the client stands.
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

    /// Polls, and is cut when so many bytes of the answer have come: it learns nothing.
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

    /// Listens to events, until so many bytes of the body have come or it has got enough; then it is cut. Says whether it
    /// was cut in the middle of an event.
    ///
    /// # Panics
    /// When neither happens within an hour.
    pub async fn listen(&mut self, bytes: usize, cut: Cut, is_enough: impl Fn(&Self) -> bool) -> bool {
        // Of the paused clock. Without it a message that is lost would be waited for without end.
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
            // By little, so that it can have enough of what comes at once.
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
            "resumed" => self.farewell = Some(event.data),
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
