//! A client of any transport, so that one test covers all of them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use abeyance::Transport;
use abeyance::memory::{Dialer, MemoryStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use crate::reader::{Answer, Chunk, Head, Reader};

/// The client's side of one held connection.
pub struct Client {
    /// The transport that it was held by.
    pub transport: Transport,
    /// The head of the held answer. A long poll has none until it is answered.
    pub head: Head,
    /// The messages so far, as text.
    pub messages: Vec<String>,
    pub(crate) wire: Wire,
    pub(crate) dialer: Dialer,
    pub(crate) path: String,
    pub(crate) from: SocketAddr,
}

pub(crate) enum Wire {
    Socket(Box<WebSocketStream<MemoryStream>>),
    Http(HttpWire),
}

pub(crate) struct HttpWire {
    pub(crate) reader: Reader,
    /// Of SSE and streams: the bytes that are no whole block or line yet.
    pub(crate) text: String,
    /// What was parsed and not yet returned.
    pub(crate) parsed: VecDeque<Received>,
    /// The event that announced the end, as text.
    pub(crate) ending: String,
}

/// One thing that a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(String),
    /// The end, in one line.
    End(String),
}

impl Client {
    /// The next message.
    ///
    /// # Panics
    /// When the end comes instead.
    pub async fn message(&mut self) -> String {
        match self.next().await {
            Received::Message(text) => text,
            Received::End(end) => panic!("{end:?} instead of a message"),
        }
    }

    /// Reads to the end, and returns it in one line: code and reason for a WebSocket (`1000 timeout`), the last event and
    /// chunk for SSE, the status for a long poll, and `FIN` or `RST` where the connection ends without an ending.
    pub async fn end(&mut self) -> String {
        let end = async {
            loop {
                if let Received::End(end) = self.next().await {
                    return end;
                }
            }
        };
        // An hour of the paused clock: a hold that is forgotten would hang the test.
        timeout(Duration::from_secs(3600), end).await.expect("an end within the hour")
    }

    /// Reads for `span`, which answers heartbeats.
    ///
    /// # Panics
    /// When the end comes meanwhile.
    pub async fn stay_held(&mut self, span: Duration) {
        let _ = timeout(span, async {
            loop {
                if let Received::End(end) = self.next().await {
                    panic!("{end:?} within {span:?}");
                }
            }
        })
        .await;
    }

    /// The next message or end; heartbeats are passed over.
    pub async fn next(&mut self) -> Received {
        let said = match (&mut self.wire, self.transport) {
            (Wire::Socket(socket), _) => next_frame(socket).await,
            (Wire::Http(wire), Transport::LongPoll) => wire.next_answer(&mut self.head).await,
            (Wire::Http(wire), transport) => wire.next_block(transport, self.head.is_chunked()).await,
        };
        if let Received::Message(text) = &said {
            self.messages.push(text.clone());
        }
        said
    }

    /// Sends a message to the hold: a frame, or a `POST` with its token, which must be accepted.
    pub async fn send(&mut self, text: &str) {
        if let Wire::Socket(socket) = &mut self.wire {
            socket.send(Frame::text(text)).await.expect("the server takes a message");
            return;
        }
        let answer = self.post(text).await;
        assert_eq!(answer.head.status, 202, "{answer:?}");
    }

    /// Sends a `POST` with the hold's token, on a connection of its own.
    pub async fn post(&self, text: &str) -> Answer {
        self.hold_request("POST", &self.token(), text).await
    }

    /// Closes the hold: a close frame with this code, or a `DELETE` with the hold's token.
    pub async fn close(&mut self, code: u16, reason: &str) {
        use tokio_tungstenite::tungstenite::protocol::CloseFrame;
        if let Wire::Socket(socket) = &mut self.wire {
            let frame = CloseFrame { code: code.into(), reason: reason.into() };
            socket.send(Frame::Close(Some(frame))).await.expect("the server takes a close frame");
            return;
        }
        let answer = self.hold_request("DELETE", &self.token(), "").await;
        assert_eq!(answer.head.status, 204, "{answer:?}");
    }

    /// Sends a request for a hold, on a connection of its own.
    pub async fn hold_request(&self, method: &str, token: &str, body: &str) -> Answer {
        let mut reader = Reader::new(self.dialer.connect(self.from).expect("the server listens"));
        let (path, length) = (&self.path, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nabeyance-hold: {token}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        reader.write(request).await;
        reader.answer().await.expect("an answer")
    }

    /// The hold's token, which authorises a `POST`.
    pub fn token(&self) -> String {
        self.head.get("abeyance-hold").expect("a token").to_owned()
    }

    /// The raw connection.
    pub fn stream(&mut self) -> &mut MemoryStream {
        match &mut self.wire {
            Wire::Socket(socket) => socket.get_mut(),
            Wire::Http(wire) => &mut wire.reader.stream,
        }
    }

    /// Turns the client into its raw connection.
    pub fn into_stream(self) -> MemoryStream {
        match self.wire {
            Wire::Socket(socket) => socket.into_inner(),
            Wire::Http(wire) => wire.reader.stream,
        }
    }

    /// Writes raw bytes.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream().write_all(bytes.as_ref()).await.expect("the server takes what is written");
    }

    /// Closes this side of the connection (FIN), without a close frame or a `DELETE`.
    pub async fn fin(&mut self) {
        self.stream().shutdown().await.expect("a FIN is always taken");
    }

    /// The connection as HTTP, for another request.
    ///
    /// # Panics
    /// For a WebSocket.
    pub fn reader(&mut self) -> &mut Reader {
        match &mut self.wire {
            Wire::Socket(_) => panic!("a WebSocket is no HTTP any more"),
            Wire::Http(wire) => &mut wire.reader,
        }
    }
}

impl Head {
    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding") == Some("chunked")
    }
}

async fn next_frame(socket: &mut WebSocketStream<MemoryStream>) -> Received {
    let mut word = None;
    loop {
        match socket.next().await {
            Some(Ok(Frame::Text(text))) => return Received::Message(text.to_string()),
            Some(Ok(Frame::Binary(bytes))) => {
                return Received::Message(String::from_utf8_lossy(&bytes).into_owned());
            }
            Some(Ok(Frame::Close(frame))) => {
                let told = frame.map_or_else(
                    || "no code".to_owned(),
                    |frame| format!("{} {}", u16::from(frame.code), frame.reason),
                );
                word = Some(without_number(told.trim_end()));
            }
            Some(Ok(_)) => {}
            Some(Err(Error::ConnectionClosed)) | None => {
                let _ = socket.get_mut().shutdown().await;
                return Received::End(word.unwrap_or_else(|| "FIN".into()));
            }
            Some(Err(Error::Io(error))) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                return Received::End(word.map_or_else(|| "RST".into(), |word| word + ", RST"));
            }
            // The connection ended without a close frame.
            Some(Err(Error::Protocol(_))) => return Received::End("FIN".into()),
            Some(Err(error)) => panic!("{error}"),
        }
    }
}

impl HttpWire {
    pub(crate) fn new(reader: Reader) -> Self {
        HttpWire { reader, text: String::new(), parsed: VecDeque::new(), ending: String::new() }
    }

    async fn next_answer(&mut self, head: &mut Head) -> Received {
        if let Some(said) = self.parsed.pop_front() {
            return said;
        }
        let answer = match self.reader.answer().await {
            Ok(answer) => answer,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Received::End("RST".into());
            }
            Err(_) => return Received::End("FIN".into()),
        };
        *head = answer.head;
        let mut end = head.status.to_string();
        if head.get("retry-after").is_some() {
            end += " retry";
        }
        if head.status != 200 && !answer.body.is_empty() {
            end = format!("{end} {}", answer.body);
        }
        if !head.is_kept() {
            let (rest, how) = self.reader.rest().await;
            assert_eq!((String::from_utf8_lossy(&rest).as_ref(), how), ("", "FIN"));
            end += ", close";
        }
        if head.status != 200 {
            return Received::End(end);
        }
        self.parsed.push_back(Received::End(end));
        Received::Message(answer.body)
    }

    async fn next_block(&mut self, transport: Transport, is_chunked: bool) -> Received {
        let end = if transport == Transport::Sse { "\n\n" } else { "\n" };
        loop {
            if let Some(said) = self.parsed.pop_front() {
                return said;
            }
            if let Some((block, rest)) = self.text.split_once(end) {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                self.read_block(transport, &block);
                continue;
            }
            let last = if !is_chunked {
                let (bytes, how) = self.reader.rest().await;
                self.text += std::str::from_utf8(&bytes).expect("text");
                how.to_owned()
            } else {
                match self.reader.chunk().await {
                    Chunk::Data(bytes) => {
                        self.text += std::str::from_utf8(&bytes).expect("text");
                        continue;
                    }
                    Chunk::Last => {
                        let (rest, how) = self.reader.rest().await;
                        assert_eq!((rest.as_slice(), how), (&b""[..], "FIN"), "after the last chunk");
                        "last".to_owned()
                    }
                    Chunk::Cut(how) => how.to_owned(),
                }
            };
            while let Some((block, rest)) = self.text.split_once(end) {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                self.read_block(transport, &block);
            }
            assert_eq!(self.text, "", "an unfinished block");
            let word = std::mem::take(&mut self.ending) + &last;
            let _ = self.reader.stream.shutdown().await;
            self.parsed.push_back(Received::End(word));
        }
    }

    fn read_block(&mut self, transport: Transport, block: &str) {
        if transport == Transport::Stream {
            if block.is_empty() {
                return;
            }
            let text = block.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(block);
            self.parsed.push_back(Received::Message(text.to_owned()));
            return;
        }
        let (mut event, mut data, mut retry) = (None, Vec::new(), "");
        for line in block.split('\n') {
            match line.split_once(": ") {
                Some(("event", name)) => event = Some(name),
                Some(("data", text)) => data.push(text),
                Some(("retry", _)) => retry = "retry ",
                Some(("id", _)) => {}
                _ => assert!(line.is_empty() || line.starts_with(':'), "{line:?}"),
            }
        }
        let data = data.join("\n");
        match event {
            Some(name @ ("resumed" | "disconnected")) => {
                self.ending = format!("{retry}{name} {data}, ");
            }
            Some("hold") | None if block.starts_with(':') => {}
            Some("hold") => {}
            _ => self.parsed.push_back(Received::Message(data)),
        }
    }
}

/// Removes the jittered milliseconds of `retry-after`; a test expects only that there are some.
fn without_number(text: &str) -> String {
    match text.split_once("retry-after=") {
        Some((before, millis)) => {
            let millis: u64 = millis.parse().expect("milliseconds");
            assert!(millis > 0);
            format!("{before}retry-after")
        }
        None => text.to_owned(),
    }
}
