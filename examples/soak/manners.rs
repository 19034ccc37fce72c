//! What clients do on a connection that is held, or that they hope is.

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

use super::diary::Sight;
use super::ending;
use super::visit::Visit;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Reads and answers until the server ends it, and brings its last id back.
    Good,
    /// Leaves after a while, by a goodbye where there is one.
    Leaves,
    /// Resets after a while.
    Resets,
    /// Never reads nor writes again, and keeps the connection.
    Abandons,
    /// Reads a little now and then.
    Dawdles,
    /// Sends as much as it can: messages, pings, more requests, `POST`s.
    Floods,
    /// Sends what means nothing.
    Babbles,
    /// Closes its side, and stays.
    HalfCloses,
}

impl Manner {
    pub(super) fn draw(dice: &mut Rng) -> Self {
        use Manner::{Abandons, Babbles, Dawdles, Floods, Good, HalfCloses, Leaves, Resets};
        let all = [
            Good, Good, Good, Leaves, Leaves, Resets, Resets, Abandons, Dawdles, Floods, Babbles, HalfCloses,
        ];
        all[dice.usize(..all.len())]
    }
}

/// Behaves so until it has had enough, or the server; says how it ended, which only the good can know.
pub(super) async fn behave(
    mut visit: Visit,
    manner: Manner,
    dice: &mut Rng,
    last_id: &mut Option<String>,
) -> io::Result<Sight> {
    match manner {
        Manner::Good if visit.transport == Transport::WebSocket => return converse(visit, dice).await,
        Manner::Good => return listen(visit, last_id).await,
        Manner::Leaves => {
            visit.head().await?;
            sleep(Duration::from_millis(dice.u64(..2_000))).await;
            if visit.transport == Transport::WebSocket {
                visit.stream.write_all(&frame(CLOSE, &1000_u16.to_be_bytes())).await?;
            }
        }
        Manner::Resets => {
            sleep(Duration::from_millis(dice.u64(..1_000))).await;
            visit.reset();
        }
        Manner::Abandons => std::future::pending().await,
        Manner::Dawdles => {
            let mut little = [0; 64];
            while visit.stream.read(&mut little).await? > 0 {
                sleep(Duration::from_millis(dice.u64(50..500))).await;
            }
        }
        Manner::Floods => flood(visit, dice).await?,
        Manner::Babbles => {
            visit.head().await?;
            for _ in 0..dice.u8(..20) {
                let noise: Vec<_> = (0..dice.usize(1..300)).map(|_| dice.u8(..)).collect();
                visit.stream.write_all(&noise).await?;
                sleep(Duration::from_millis(dice.u64(..100))).await;
            }
        }
        Manner::HalfCloses => {
            visit.stream.shutdown().await?;
            visit.stream.read_to_end(&mut Vec::new()).await?;
        }
    }
    Ok(Sight::Left)
}

/// A WebSocket client as it should be.
async fn converse(mut visit: Visit, dice: &mut Rng) -> io::Result<Sight> {
    let head = visit.head().await?;
    let end = head.windows(4).position(|end| end == b"\r\n\r\n").map_or(head.len(), |at| at + 4);
    if !head.starts_with(b"HTTP/1.1 101") {
        return Ok(Sight::Refused);
    }
    let rest = head[end..].to_vec();
    let mut socket = WebSocketStream::from_partially_read(visit.stream, rest, Role::Client, None).await;
    let (mut sight, mut is_heard) = (Sight::Cut, true);
    // It answers pings by itself, as it reads.
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(frame) = message {
            sight = ending::closed(frame.as_ref());
        } else if is_heard && dice.u8(..4) == 0 {
            let text = "a word ".repeat(dice.usize(1..20));
            // Whoever listens no more may have said why.
            is_heard = socket.send(Message::text(text)).await.is_ok();
        }
    }
    Ok(sight)
}

/// Reads to the end, and notes what id came last.
async fn listen(mut visit: Visit, last_id: &mut Option<String>) -> io::Result<Sight> {
    let mut bytes = visit.head().await?;
    *last_id = id(&String::from_utf8_lossy(&bytes));
    if visit.transport == Transport::LongPoll {
        return ending::answered(&mut visit, bytes).await;
    }
    if !bytes.starts_with(b"HTTP/1.1 200") {
        return Ok(Sight::Refused);
    }
    while visit.stream.read_buf(&mut bytes).await? > 0 {
        if let Some(id) = id(&String::from_utf8_lossy(&bytes)) {
            *last_id = Some(id);
        }
        // A line of what is to come may have begun, or it is the last event.
        let keep = bytes.len().min(200);
        bytes.drain(..bytes.len() - keep);
    }
    Ok(ending::chunked(visit.transport, &String::from_utf8_lossy(&bytes)))
}

/// The last whole id in the text, as events or a poll's answer name it.
fn id(text: &str) -> Option<String> {
    let named =
        |line: &str| line.strip_prefix("id: ").or(line.strip_prefix("last-event-id: ")).map(str::to_owned);
    text.rsplit_once('\n')?.0.lines().rev().find_map(|line| named(&line.to_ascii_lowercase()))
}

async fn flood(mut visit: Visit, dice: &mut Rng) -> io::Result<()> {
    let head = visit.head().await?;
    let much = match visit.transport {
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
        _ => return post(visit, &String::from_utf8_lossy(&head), dice).await,
    };
    visit.stream.write_all(&much).await?;
    visit.stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Speaks by `POST`, faster than anybody listens.
async fn post(visit: Visit, head: &str, dice: &mut Rng) -> io::Result<()> {
    let named = |line: &str| line.to_ascii_lowercase().starts_with("abeyance-hold: ");
    let Some(token) = head.lines().find(|line| named(line)) else { return Ok(()) };
    let mut beside = tokio::net::TcpStream::connect(visit.server).await?;
    for _ in 0..dice.u8(..40) {
        let text = "p".repeat(dice.usize(1..100));
        let head = format!("POST {} HTTP/1.1\r\nHost: soak\r\n{token}\r\n", visit.path);
        beside.write_all(format!("{head}Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes()).await?;
        beside.read_buf(&mut Vec::with_capacity(1024)).await?;
    }
    Ok(())
}

/// The first bytes of frames, and the bit in them that says that none of the same message follows.
const MORE: u8 = 0x80;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const LAST: u8 = 0x80;

/// A frame of a client. Its mask is zero, which is a mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    assert!(length < 126, "a payload of one length byte");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}
