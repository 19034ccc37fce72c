//! How a client reads the end of what was held: the last words of each transport, or that there were none.

use std::io;

use abeyance::Transport;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::diary::Sight;
use super::visit::Visit;

/// The words that an answer to a poll which was held begins with, other than messages and `204`.
const ENDS: [&str; 8] = ["drained", "evicted", "shutdown", "idle", "violation", "flood", "failed", "odd"];

/// A close frame, as its receiver sees it: the code, the reason, and whether it says when to come back.
pub(super) fn closed(frame: Option<&CloseFrame>) -> Sight {
    let Some(frame) = frame else { return Sight::Told("no code".into()) };
    let code = u16::from(frame.code);
    Sight::Told(match frame.reason.split_once("; retry-after=") {
        Some((word, _)) => format!("{code} {word}, later"),
        None => format!("{code} {}", frame.reason),
    })
}

/// Events and streams: the last bytes before the connection was over.
pub(super) fn chunked(transport: Transport, tail: &str) -> Sight {
    let Some(tail) = tail.strip_suffix("\r\n0\r\n\r\n") else { return Sight::Cut };
    if transport == Transport::Stream {
        return Sight::Told("in good order".into());
    }
    // The last event.
    let block = tail.trim_end_matches('\n').rsplit("\n\n").next().unwrap_or_default();
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let later = if field("retry: ").is_some() { ", later" } else { "" };
    match field("event: ") {
        Some("resumed" | "disconnected") => {
            Sight::Told(format!("{}{later}", field("data: ").unwrap_or_default()))
        }
        _ => Sight::Cut,
    }
}

/// A poll's answer, of which everything to the end of the head was read, and perhaps more.
pub(super) async fn answered(visit: &mut Visit, mut bytes: Vec<u8>) -> io::Result<Sight> {
    let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(Sight::Cut) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        if visit.stream.read_buf(&mut bytes).await? == 0 {
            return Ok(Sight::Cut);
        }
    }
    let status = head.get(9..12).unwrap_or_default();
    let later = if field("retry-after").is_some() { ", later" } else { "" };
    let body = String::from_utf8_lossy(&bytes[end + 4..]);
    Ok(match status {
        "204" if field("abeyance-resync").is_some() => Sight::Told("204, resync".into()),
        "200" | "204" => Sight::Told(status.into()),
        _ if ENDS.contains(&&*body) => Sight::Told(format!("{status} {body}{later}")),
        _ => Sight::Refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_event_stream_is_its_last_event_and_chunk() {
        let told = |words: &str| Sight::Told(words.into());
        let end = "2a\r\nretry: 1500\nevent: resumed\ndata: drained\nid: 1-2\n\n\r\n0\r\n\r\n";
        assert_eq!(chunked(Transport::Sse, end), told("drained, later"));
        let end = "data: x\n\n\r\n20\r\nevent: disconnected\ndata: odd\n\n\r\n0\r\n\r\n";
        assert_eq!(chunked(Transport::Sse, end), told("odd"));
        assert_eq!(chunked(Transport::Sse, "data: x\n\n\r\n"), Sight::Cut);
        assert_eq!(chunked(Transport::Sse, "data: x\n\n\r\n0\r\n\r\n"), Sight::Cut, "an end without a word");
        assert_eq!(chunked(Transport::Stream, "\"x\"\n\r\n0\r\n\r\n"), told("in good order"));
        assert_eq!(chunked(Transport::Stream, "\"x\"\n\r\n"), Sight::Cut);
    }

    #[test]
    fn a_close_frame_says_when_to_come_back_or_not() {
        let frame = |code: u16, reason: &'static str| CloseFrame { code: code.into(), reason: reason.into() };
        let seen = closed(Some(&frame(1001, "drained; retry-after=1500")));
        assert_eq!(seen, Sight::Told("1001 drained, later".into()));
        assert_eq!(closed(Some(&frame(1008, "odd"))), Sight::Told("1008 odd".into()));
    }
}
