//! One connection of a client: its request, and which behavior follows.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use abeyance::Transport;
use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::behavior::{self, Behavior};
use super::client_log::{ClientLog, SeenEnd};

pub(super) const TRANSPORTS: [Transport; 4] =
    [Transport::WebSocket, Transport::Sse, Transport::Stream, Transport::LongPoll];

/// A connection on which a request was sent.
pub(super) struct Connection {
    pub(super) server: SocketAddr,
    pub(super) stream: TcpStream,
    pub(super) transport: Transport,
    pub(super) path: String,
}

impl Connection {
    pub(super) async fn ask(
        server: SocketAddr,
        transport: Transport,
        path: String,
        last_id: &str,
        number: Option<u64>,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(request(transport, &path, last_id, number).as_bytes()).await?;
        Ok(Connection { server, stream, transport, path })
    }

    /// Reads a head to its end, and the bytes that arrived with it.
    pub(super) async fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::with_capacity(1024);
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if self.stream.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(head)
    }

    /// Closes the connection with an RST.
    pub(super) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }
}

/// One client, and what it keeps from one connection to the next.
pub(super) struct Client {
    pub(super) server: SocketAddr,
    pub(super) dice: Rng,
    /// The id of the last message, which it may send with its next request.
    pub(super) last_id: Option<String>,
    /// The number of its latest connection, for clients that report what they saw.
    pub(super) number: u64,
}

/// Opens a connection, behaves at random, and leaves. With a log it sends its number, and a client that reads to the end
/// records what it saw.
pub(super) async fn once(client: &mut Client, log: Option<&ClientLog>) -> io::Result<()> {
    let Client { server, dice, last_id, number } = client;
    let server = *server;
    if dice.u8(..20) == 0 {
        return half_a_request(server, dice).await;
    }
    let transport = TRANSPORTS[dice.usize(..4)];
    let path = match dice.u8(..10) {
        0..3 => format!("/rooms/{}", dice.u64(..8)),
        3 => "/patient".to_owned(),
        4 => "/quiet".to_owned(),
        5 | 6 => "/crowded".to_owned(),
        7 => "/at_once".to_owned(),
        8 => format!("/driven/{}", dice.u64(..100)),
        _ => format!("/flood/{}", dice.u64(..3)),
    };
    let back = if dice.bool() { last_id.take() } else { None };
    *number += 1;
    let told = log.map(|_| *number);
    let connection = Connection::ask(server, transport, path, &back.unwrap_or_default(), told).await?;
    let behavior = Behavior::draw(dice);
    // If nothing ends the connection before, the client leaves.
    let stay = Duration::from_secs(dice.u64(4..14));
    let entry = log.filter(|_| behavior == Behavior::Good).map(|log| log.begin(*number, transport));
    let behaved = timeout(stay, behavior::behave(connection, behavior, dice, last_id)).await;
    if let Some(entry) = entry {
        entry.write(match &behaved {
            Ok(Ok(end_seen)) => end_seen.clone(),
            Ok(Err(_)) => SeenEnd::Cut,
            Err(_) => SeenEnd::Left,
        });
    }
    behaved.unwrap_or(Ok(SeenEnd::Left)).map(drop)
}

/// Opens a hold and leaves at once: after its answer, by a FIN or an RST.
pub(super) async fn briefly(server: SocketAddr, transport: Transport, is_rude: bool) -> io::Result<()> {
    let mut connection = Connection::ask(server, transport, "/at_once".to_owned(), "", None).await?;
    connection.head().await?;
    if is_rude {
        connection.reset();
    }
    Ok(())
}

/// Sends a part of a request.
async fn half_a_request(server: SocketAddr, dice: &mut Rng) -> io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    let text = request(TRANSPORTS[dice.usize(..4)], "/quiet", "", None);
    let half = &text.as_bytes()[..dice.usize(..text.len())];
    for byte in half.chunks(dice.usize(1..200)) {
        if stream.write_all(byte).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(dice.u64(..500))).await;
    }
    Ok(())
}

fn request(transport: Transport, path: &str, last_id: &str, number: Option<u64>) -> String {
    let number = number.map(|number| format!("&connection={number}")).unwrap_or_default();
    let transport_name = transport.as_str();
    let mut text = format!("GET {path}?transport={transport_name}{number} HTTP/1.1\r\nHost: soak\r\n");
    if transport == Transport::WebSocket {
        text += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    }
    if !last_id.is_empty() {
        text += &format!("Last-Event-ID: {last_id}\r\n");
    }
    text + "\r\n"
}
