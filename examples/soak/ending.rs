//! How a client reads the end of a hold: the ending of each transport, or that the connection ended without one.

use std::io;

use abeyance::Transport;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::client_log::SeenEnd;
use super::connection::Connection;

/// The bodies of a held poll's answers, other than messages and `204`.
const ENDS: [&str; 8] = ["drained", "evicted", "shutdown", "idle", "violation", "flood", "failed", "odd"];

/// A close frame: the code, the reason, and whether it says when to reconnect.
pub(super) fn closed(frame: Option<&CloseFrame>) -> SeenEnd {
    let Some(frame) = frame else { return SeenEnd::Told("no code".into()) };
    let code = u16::from(frame.code);
    SeenEnd::Told(match frame.reason.split_once("; retry-after=") {
        Some((word, _)) => format!("{code} {word}, later"),
        None => format!("{code} {}", frame.reason),
    })
}

/// Events and streams: reads the last bytes before the end of the connection.
pub(super) fn chunked(transport: Transport, tail: &str) -> SeenEnd {
    let Some(tail) = tail.strip_suffix("\r\n0\r\n\r\n") else { return SeenEnd::Cut };
    if transport == Transport::Stream {
        return SeenEnd::Told("in good order".into());
    }
    // The last event.
    let block = tail.trim_end_matches('\n').rsplit("\n\n").next().unwrap_or_default();
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let later = if field("retry: ").is_some() { ", later" } else { "" };
    match field("event: ") {
        Some("resumed" | "disconnected") => {
            SeenEnd::Told(format!("{}{later}", field("data: ").unwrap_or_default()))
        }
        _ => SeenEnd::Cut,
    }
}

/// A poll's answer, of which `bytes` holds the head at least.
pub(super) async fn answered(connection: &mut Connection, mut bytes: Vec<u8>) -> io::Result<SeenEnd> {
    let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(SeenEnd::Cut) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        if connection.stream.read_buf(&mut bytes).await? == 0 {
            return Ok(SeenEnd::Cut);
        }
    }
    let status = head.get(9..12).unwrap_or_default();
    let later = if field("retry-after").is_some() { ", later" } else { "" };
    let body = String::from_utf8_lossy(&bytes[end + 4..]);
    Ok(match status {
        "204" if field("abeyance-resync").is_some() => SeenEnd::Told("204, resync".into()),
        "200" | "204" => SeenEnd::Told(status.into()),
        _ if ENDS.contains(&&*body) => SeenEnd::Told(format!("{status} {body}{later}")),
        _ => SeenEnd::Refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_event_stream_is_its_last_event_and_chunk() {
        let told = |words: &str| SeenEnd::Told(words.into());
        let end = "2a\r\nretry: 1500\nevent: resumed\ndata: drained\nid: 1-2\n\n\r\n0\r\n\r\n";
        assert_eq!(chunked(Transport::Sse, end), told("drained, later"));
        let end = "data: x\n\n\r\n20\r\nevent: disconnected\ndata: odd\n\n\r\n0\r\n\r\n";
        assert_eq!(chunked(Transport::Sse, end), told("odd"));
        assert_eq!(chunked(Transport::Sse, "data: x\n\n\r\n"), SeenEnd::Cut);
        assert_eq!(chunked(Transport::Sse, "data: x\n\n\r\n0\r\n\r\n"), SeenEnd::Cut, "no ending event");
        assert_eq!(chunked(Transport::Stream, "\"x\"\n\r\n0\r\n\r\n"), told("in good order"));
        assert_eq!(chunked(Transport::Stream, "\"x\"\n\r\n"), SeenEnd::Cut);
    }

    #[test]
    fn a_close_frame_may_say_when_to_reconnect() {
        let frame = |code: u16, reason: &'static str| CloseFrame { code: code.into(), reason: reason.into() };
        let seen = closed(Some(&frame(1001, "drained; retry-after=1500")));
        assert_eq!(seen, SeenEnd::Told("1001 drained, later".into()));
        assert_eq!(closed(Some(&frame(1008, "odd"))), SeenEnd::Told("1008 odd".into()));
    }
}
