//! What clients do on a connection, once their request is sent.

use std::io;
use std::time::Duration;

use abeyance::Transport;
use fastrand::Rng;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::client_log::SeenEnd;
use super::connection::Connection;
use super::ending;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    /// Reads and answers until the server ends it, and brings its last id back.
    Good,
    /// Leaves after a while, with a close frame on a WebSocket.
    Leaves,
    /// Resets after a while.
    Resets,
    /// Neither reads nor writes, and keeps the connection.
    Abandons,
    /// Reads a little now and then.
    Dawdles,
    /// Sends as much as it can: messages, pings, more requests, `POST`s.
    Floods,
    /// Sends garbage.
    Babbles,
    /// Closes its side, and reads on.
    HalfCloses,
}

impl Behavior {
    pub(super) fn draw(dice: &mut Rng) -> Self {
        use Behavior::{Abandons, Babbles, Dawdles, Floods, Good, HalfCloses, Leaves, Resets};
        let all = [
            Good, Good, Good, Leaves, Leaves, Resets, Resets, Abandons, Dawdles, Floods, Babbles, HalfCloses,
        ];
        all[dice.usize(..all.len())]
    }
}

/// Behaves so until the connection ends or the client leaves. Only a client that reads to the end knows how it ended.
pub(super) async fn behave(
    mut connection: Connection,
    behavior: Behavior,
    dice: &mut Rng,
    last_id: &mut Option<String>,
) -> io::Result<SeenEnd> {
    match behavior {
        Behavior::Good if connection.transport == Transport::WebSocket => {
            return converse(connection, dice).await;
        }
        Behavior::Good => return listen(connection, last_id).await,
        Behavior::Leaves => {
            connection.head().await?;
            sleep(Duration::from_millis(dice.u64(..2_000))).await;
            if connection.transport == Transport::WebSocket {
                connection.stream.write_all(&frame(CLOSE, &1000_u16.to_be_bytes())).await?;
            }
        }
        Behavior::Resets => {
            sleep(Duration::from_millis(dice.u64(..1_000))).await;
            connection.reset();
        }
        Behavior::Abandons => std::future::pending().await,
        Behavior::Dawdles => {
            let mut little = [0; 64];
            while connection.stream.read(&mut little).await? > 0 {
                sleep(Duration::from_millis(dice.u64(50..500))).await;
            }
        }
        Behavior::Floods => flood(connection, dice).await?,
        Behavior::Babbles => {
            connection.head().await?;
            for _ in 0..dice.u8(..20) {
                let noise: Vec<_> = (0..dice.usize(1..300)).map(|_| dice.u8(..)).collect();
                connection.stream.write_all(&noise).await?;
                sleep(Duration::from_millis(dice.u64(..100))).await;
            }
        }
        Behavior::HalfCloses => {
            connection.stream.shutdown().await?;
            connection.stream.read_to_end(&mut Vec::new()).await?;
        }
    }
    Ok(SeenEnd::Left)
}

/// A well-behaved WebSocket client.
async fn converse(mut connection: Connection, dice: &mut Rng) -> io::Result<SeenEnd> {
    let head = connection.head().await?;
    let end = head.windows(4).position(|end| end == b"\r\n\r\n").map_or(head.len(), |at| at + 4);
    if !head.starts_with(b"HTTP/1.1 101") {
        return Ok(SeenEnd::Refused);
    }
    let rest = head[end..].to_vec();
    let mut socket = WebSocketStream::from_partially_read(connection.stream, rest, Role::Client, None).await;
    let (mut end_seen, mut is_open) = (SeenEnd::Cut, true);
    // Reading answers pings.
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            end_seen = ending::closed(frame.as_ref());
        } else if is_open && dice.u8(..4) == 0 {
            let text = "a word ".repeat(dice.usize(1..20));
            // After a failed write, a close frame may still be there to be read.
            is_open = socket.send(Message::text(text)).await.is_ok();
        }
    }
    Ok(end_seen)
}

/// Reads to the end, and keeps the last id.
async fn listen(mut connection: Connection, last_id: &mut Option<String>) -> io::Result<SeenEnd> {
    let mut bytes = connection.head().await?;
    *last_id = id(&String::from_utf8_lossy(&bytes));
    if connection.transport == Transport::LongPoll {
        return ending::answered(&mut connection, bytes).await;
    }
    if !bytes.starts_with(b"HTTP/1.1 200") {
        return Ok(SeenEnd::Refused);
    }
    while connection.stream.read_buf(&mut bytes).await? > 0 {
        if let Some(id) = id(&String::from_utf8_lossy(&bytes)) {
            *last_id = Some(id);
        }
        // The start of a line whose rest is to come, or the last event.
        let keep = bytes.len().min(200);
        bytes.drain(..bytes.len() - keep);
    }
    Ok(ending::chunked(connection.transport, &String::from_utf8_lossy(&bytes)))
}

/// The last whole id in the text, from an event or from the header of a poll's answer.
fn id(text: &str) -> Option<String> {
    let named =
        |line: &str| line.strip_prefix("id: ").or(line.strip_prefix("last-event-id: ")).map(str::to_owned);
    text.rsplit_once('\n')?.0.lines().rev().find_map(|line| named(&line.to_ascii_lowercase()))
}

async fn flood(mut connection: Connection, dice: &mut Rng) -> io::Result<()> {
    let head = connection.head().await?;
    let much = match connection.transport {
        Transport::WebSocket => {
            let (first, each) = match dice.u8(..5) {
                0 | 1 => (Vec::new(), frame(PING, b"ping")),
                2 | 3 => (Vec::new(), frame(TEXT, "w".repeat(dice.usize(..100)).as_bytes())),
                // A message in pieces, which is larger than it may be, or never ends.
                _ => (frame(TEXT & !LAST, b"v"), frame(MORE & !LAST, &[b'v'; 125])),
            };
            [first, each.repeat(dice.usize(1..2_000))].concat()
        }
        Transport::LongPoll => b"GET /quiet HTTP/1.1\r\nHost: soak\r\n\r\n".repeat(dice.usize(1..50)),
        _ => return post(connection, &String::from_utf8_lossy(&head), dice).await,
    };
    connection.stream.write_all(&much).await?;
    connection.stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Sends `POST`s, faster than the application takes them.
async fn post(connection: Connection, head: &str, dice: &mut Rng) -> io::Result<()> {
    let named = |line: &str| line.to_ascii_lowercase().starts_with("abeyance-hold: ");
    let Some(token) = head.lines().find(|line| named(line)) else { return Ok(()) };
    let mut beside = tokio::net::TcpStream::connect(connection.server).await?;
    for _ in 0..dice.u8(..40) {
        let text = "p".repeat(dice.usize(1..100));
        let head = format!("POST {} HTTP/1.1\r\nHost: soak\r\n{token}\r\n", connection.path);
        beside.write_all(format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).await?;
        beside.read_buf(&mut Vec::with_capacity(1024)).await?;
    }
    Ok(())
}

/// The first bytes of frames, and their FIN bit.
const MORE: u8 = 0x80;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const LAST: u8 = 0x80;

/// A frame of a client, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    assert!(length < 126, "a payload of one length byte");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}
