//! What a peer may send, what it may not, and what it can make us remember.

use std::io::Cursor;

use proptest::prelude::*;
use tungstenite::protocol::{CloseFrame, Role, WebSocket, WebSocketConfig};

use super::*;

const CRUMB: usize = 125;

const MAX: usize = 1000;

impl Assembler {
    /// The bytes it has memory for.
    fn buffered(&self) -> usize {
        let draft = self.draft.as_ref().map_or(0, |draft| draft.payload.capacity());
        self.inbox.capacity() + self.control.capacity() + draft
    }

    fn poll_all(&mut self) -> (Vec<Incoming>, Option<ProtocolFault>) {
        let mut heard = Vec::new();
        loop {
            match self.poll() {
                Ok(Some(incoming)) => heard.push(incoming),
                Ok(None) => return (heard, None),
                Err(fault) => return (heard, Some(fault)),
            }
        }
    }
}

/// A client's frame, its length in the shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        length @ ..=125 => vec![0x80 | length as u8],
        length => [&[0x80 | 126][..], &(length as u16).to_be_bytes()].concat(),
    };
    let mask = [0xde, 0xad, 0xbe, 0xef];
    let masked = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]);
    [first].into_iter().chain(length).chain(mask).chain(masked).collect()
}

fn hear(frames: &[Vec<u8>]) -> (Vec<Incoming>, Option<ProtocolFault>) {
    let mut assembler = Assembler::new(MAX);
    assembler.feed(&frames.concat());
    assembler.poll_all()
}

fn text(text: &str) -> Incoming {
    Incoming::Message(text.into())
}

fn fault(frames: &[Vec<u8>]) -> ProtocolFault {
    hear(frames).1.unwrap()
}

#[test]
fn what_a_foreign_client_writes_is_read() {
    let mut written = Cursor::new(Vec::new());
    let config = WebSocketConfig::default();
    let mut client = WebSocket::from_raw_socket(&mut written, Role::Client, Some(config));
    let said = CloseFrame { code: 4001.into(), reason: "tschüß".into() };
    let long = "lang ".repeat(20_000);
    for message in [
        tungstenite::Message::text("hello"),
        tungstenite::Message::binary(vec![1; 200]),
        tungstenite::Message::Ping(Bytes::from_static(b"p")),
        tungstenite::Message::Pong(Bytes::new()),
        tungstenite::Message::text(""),
        tungstenite::Message::text(long.as_str()),
    ] {
        client.send(message).unwrap();
    }
    client.close(Some(said)).unwrap();
    drop(client);

    let mut assembler = Assembler::new(1 << 20);
    assembler.feed(written.get_ref());
    let expected = vec![
        text("hello"),
        Incoming::Message(vec![1; 200].into()),
        Incoming::Ping(Bytes::from_static(b"p")),
        Incoming::Pong,
        text(""),
        text(&long),
        Incoming::Close { code: Some(4001), reason: "tschüß".into() },
    ];
    assert_eq!(assembler.poll_all(), (expected, None));
}

#[test]
fn fragments_are_joined_around_control_frames() {
    let frames =
        [frame(0x01, b"a"), frame(0x89, b"now?"), frame(0x00, b"b"), frame(0x8a, b""), frame(0x80, b"c")];
    let ping = Incoming::Ping(Bytes::from_static(b"now?"));
    let heard = vec![Incoming::Crumb, ping, Incoming::Crumb, Incoming::Pong, text("abc")];
    assert_eq!(hear(&frames), (heard, None));
}

#[test]
fn a_character_may_be_cut_between_fragments_but_not_by_the_end() {
    let euro = "€".as_bytes();
    let parts = [frame(0x01, &euro[..1]), frame(0x00, &euro[1..2]), frame(0x80, &euro[2..])];
    assert_eq!(hear(&parts), (vec![Incoming::Crumb, Incoming::Crumb, text("€")], None));
    assert_eq!(fault(&[frame(0x81, &euro[..2])]), ProtocolFault::NotUtf8);
    assert_eq!(fault(&[frame(0x01, &euro[..2]), frame(0x80, b"")]), ProtocolFault::NotUtf8);
}

#[test]
fn text_that_cannot_become_utf8_fails_before_its_message_is_whole() {
    assert_eq!(fault(&[frame(0x01, b"fine"), frame(0x00, b"\xff")]), ProtocolFault::NotUtf8);
    let whole = frame(0x81, b"\xc0\x80 and much more");
    assert_eq!(fault(&[whole[..9].to_vec()]), ProtocolFault::NotUtf8);
    assert_eq!(hear(&[frame(0x82, b"\xff")]), (vec![Incoming::Message(vec![0xff].into())], None));
}

/// Some frames, and the close code that RFC 6455 §7.4.1 has for what is wrong with them; `None` where nothing is.
type Rule = (&'static str, Vec<Vec<u8>>, Option<u16>);

#[rustfmt::skip]
fn rules() -> Vec<Rule> {
    let unmasked = |first: u8, payload: &[u8]| [&[first, payload.len() as u8], payload].concat();
    let of_length = |marker: u8, length: &[u8]| [&[0x82, 0x80 | marker], length, &[0; 4]].concat();
    let huge = |first: u8| of_length(127, &[&[first][..], &[0xff; 7]].concat());
    let code = |code: u16| frame(0x88, &code.to_be_bytes());
    let mut rules = vec![
        ("a message",                                vec![frame(0x81, b"x")],                                None),
        ("a message without a byte",                 vec![frame(0x81, b"")],                                 None),
        ("a message in parts, of nothing",           vec![frame(0x02, b""), frame(0x00, b""), frame(0x80, b"")], None),
        ("a ping with all it may carry",             vec![frame(0x89, &[0; 125])],                           None),
        ("an unasked pong",                          vec![frame(0x8a, b"x")],                                None),
        ("a ping inside of a message",               vec![frame(0x01, b"x"), frame(0x89, b""), frame(0x80, b"")], None),
        // The rule is the sender's, and nothing here depends on it.
        ("a length longer than it needs, 16 bits",   vec![[&of_length(126, &[0, 1])[..], b"x"].concat()],    None),
        ("a length longer than it needs, 64 bits",   vec![[&of_length(127, &1u64.to_be_bytes())[..], b"x"].concat()], None),
        ("the first reserved bit (compression)",     vec![frame(0xc1, b"x")],                                Some(1002)),
        ("the second reserved bit",                  vec![frame(0xa1, b"x")],                                Some(1002)),
        ("the third reserved bit",                   vec![frame(0x91, b"x")],                                Some(1002)),
        ("a reserved bit of a continuation",         vec![frame(0x01, b"x"), frame(0xc0, b"x")],             Some(1002)),
        ("a reserved bit of a ping",                 vec![frame(0xc9, b"x")],                                Some(1002)),
        ("a message without a mask",                 vec![unmasked(0x81, b"x")],                             Some(1002)),
        ("a ping without a mask",                    vec![unmasked(0x89, b"")],                              Some(1002)),
        ("a close without a mask",                   vec![unmasked(0x88, b"")],                              Some(1002)),
        ("a ping in parts",                          vec![frame(0x09, b"")],                                 Some(1002)),
        ("a pong in parts",                          vec![frame(0x0a, b"")],                                 Some(1002)),
        ("a close in parts",                         vec![frame(0x08, b"")],                                 Some(1002)),
        ("a ping that is too long",                  vec![frame(0x89, &[0; 126])],                           Some(1002)),
        ("a pong that is too long",                  vec![frame(0x8a, &[0; 126])],                           Some(1002)),
        ("a close that is too long",                 vec![frame(0x88, &[3; 126])],                           Some(1002)),
        ("a continuation of nothing",                vec![frame(0x00, b"x")],                                Some(1002)),
        ("the end of nothing",                       vec![frame(0x80, b"x")],                                Some(1002)),
        ("a continuation of what is whole",          vec![frame(0x81, b"x"), frame(0x00, b"x")],             Some(1002)),
        ("a message inside of another",              vec![frame(0x01, b"x"), frame(0x81, b"x")],             Some(1002)),
        ("another kind inside of a message",         vec![frame(0x01, b"x"), frame(0x82, b"x")],             Some(1002)),
        ("a length with its top bit set",            vec![huge(0x80)],                                       Some(1002)),
        ("all of a length's bits set",               vec![huge(0xff)],                                       Some(1002)),
        ("the longest length there is",              vec![huge(0x7f)],                                       Some(1009)),
        ("a byte more than may be",                  vec![frame(0x82, &[0; MAX + 1])],                       Some(1009)),
        ("parts that are too large together",        vec![frame(0x02, &[0; MAX]), frame(0x80, b"x")],        Some(1009)),
        ("a close without a code",                   vec![frame(0x88, b"")],                                 None),
        ("half a close code",                        vec![frame(0x88, b"x")],                                Some(1002)),
        ("a reason that is no UTF-8",                vec![frame(0x88, b"\x03\xe8\xff")],                     Some(1007)),
        ("a reason cut in a character",              vec![frame(0x88, b"\x03\xe8\xe2\x82")],                 Some(1007)),
        ("text that is no UTF-8",                    vec![frame(0x81, b"\xff")],                             Some(1007)),
        ("text cut in a character",                  vec![frame(0x81, b"\xe2\x82")],                         Some(1007)),
        ("half of a surrogate pair",                 vec![frame(0x81, b"\xed\xa0\x80")],                     Some(1007)),
        ("a character in a longer form",             vec![frame(0x81, b"\xc0\xaf")],                         Some(1007)),
        ("bytes that are no UTF-8, as bytes",        vec![frame(0x82, b"\xff")],                             None),
    ];
    rules.extend((3..=7).chain(11..=15).map(|opcode| ("a reserved opcode", vec![frame(0x80 | opcode, b"")], Some(1002))));
    rules.extend([1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999].map(|may| ("a close code", vec![code(may)], None)));
    rules.extend(
        [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, u16::MAX]
            .map(|not| ("a close code that must not be sent", vec![code(not)], Some(1002))),
    );
    rules
}

#[test]
fn every_rule_of_the_protocol_is_kept() {
    for (what, frames, code) in rules() {
        let (heard, fault) = hear(&frames);
        assert_eq!(fault.map(ProtocolFault::close_code), code, "{what}: {frames:x?}, {fault:?}");
        assert!(fault.is_some() || heard.iter().any(|item| *item != Incoming::Crumb), "{what}");
        // The same, a byte at a time.
        let mut assembler = Assembler::new(MAX);
        let faults = frames.concat().into_iter().find_map(|byte| {
            assembler.feed(&[byte]);
            assembler.poll_all().1
        });
        assert_eq!(faults.map(ProtocolFault::close_code), code, "{what}, a byte at a time");
    }
}

#[test]
fn nothing_is_read_after_a_goodbye_or_a_fault() {
    let mut assembler = Assembler::new(MAX);
    assembler.feed(&[frame(0x88, b""), frame(0x81, b"late")].concat());
    let goodbye = Incoming::Close { code: None, reason: String::new() };
    assert_eq!(assembler.poll_all(), (vec![goodbye], None));
    assembler.feed(&frame(0x81, b"later"));
    assert_eq!((assembler.poll(), assembler.buffered()), (Ok(None), 0));

    let mut assembler = Assembler::new(MAX);
    assembler.feed(&[0xff; 20]);
    let first = assembler.poll();
    assembler.feed(&frame(0x81, b"late"));
    assert!(first.is_err());
    assert_eq!((assembler.poll(), assembler.buffered()), (first, 0));
}

#[test]
fn a_message_too_large_is_refused_at_the_header_that_makes_it_so() {
    let huge = [&[0x82, 0xff][..], &(1u64 << 62).to_be_bytes(), &[0; 4]].concat();
    assert_eq!(fault(&[huge]), ProtocolFault::TooLarge);
    let header = &frame(0x80, &[0; 600])[..8];
    assert_eq!(fault(&[frame(0x02, &[0; 401]), header.to_vec()]), ProtocolFault::TooLarge);
    assert_eq!(hear(&[frame(0x02, &[0; 400]), frame(0x80, &[0; 600])]).0.len(), 1);
}

#[test]
fn memory_follows_what_was_received_and_not_what_was_declared() {
    const DECLARED: u64 = 1 << 30;
    let mut assembler = Assembler::new(1 << 31);
    assembler.feed(&[&[0x82, 0xff][..], &DECLARED.to_be_bytes(), &[0; 4]].concat());
    for received in (0..).step_by(1000).take(100) {
        assert_eq!(assembler.poll(), Ok(None));
        assert!(assembler.buffered() <= 2 * received, "{} for {received}", assembler.buffered());
        assembler.feed(&[0; 1000]);
    }
}

#[test]
fn a_message_in_one_frame_takes_no_more_than_its_size() {
    let mut assembler = Assembler::new(MAX);
    let whole = frame(0x82, &[1; 900]);
    for piece in whole[..whole.len() - 1].chunks(100) {
        assembler.feed(piece);
        assert_eq!(assembler.poll(), Ok(None));
    }
    assert!(assembler.buffered() <= 900);
    assembler.feed(&whole[whole.len() - 1..]);
    assert!(assembler.poll().unwrap().is_some());
    assert_eq!(assembler.poll(), Ok(None));
    assert_eq!(assembler.buffered(), 0);
}

#[test]
fn fragments_without_payload_are_told_of_and_cost_no_memory() {
    let mut assembler = Assembler::new(MAX);
    assembler.feed(&frame(0x02, b""));
    for _ in 0..10_000 {
        assert_eq!(assembler.poll(), Ok(Some(Incoming::Crumb)));
        assert_eq!(assembler.poll(), Ok(None));
        assert_eq!(assembler.buffered(), 0);
        assembler.feed(&frame(0x00, b""));
    }
}

#[test]
fn only_small_parts_are_told_of() {
    let large = [frame(0x02, &[0; CRUMB]), frame(0x00, &[0; CRUMB]), frame(0x80, b"")];
    assert_eq!(hear(&large).0.len(), 1);
    let small = [frame(0x02, &[0; 63]), frame(0x00, &[0; CRUMB]), frame(0x80, b"")];
    assert_eq!(hear(&small).0[0], Incoming::Crumb);
}

#[test]
fn small_parts_are_not_told_of_while_the_message_is_worth_them() {
    let mut parts = vec![frame(0x02, &[0; 64])];
    parts.extend((0..10).map(|_| frame(0x00, &[0; 64])));
    parts.extend([frame(0x00, b""), frame(0x00, &[0; 63]), frame(0x80, b"")]);
    let told: Vec<_> = hear(&parts).0.into_iter().filter(|item| *item == Incoming::Crumb).collect();
    assert_eq!(told.len(), 2);
}

#[test]
fn it_says_how_much_there_is_of_a_message_and_counts_nothing_else() {
    let mut assembler = Assembler::new(MAX);
    let mut drafted = |bytes: &[u8]| {
        assembler.feed(bytes);
        assembler.poll_all();
        assembler.drafted()
    };
    assert_eq!(drafted(&frame(0x01, b"12345")), Some(5));
    assert_eq!(drafted(&frame(0x89, b"ping")), Some(5));
    assert_eq!(drafted(&frame(0x80, b"12345")[..8]), Some(7));
    assert_eq!(drafted(&frame(0x80, b"12345")[8..]), None);
    assert_eq!(drafted(&frame(0x89, b"ping")[..8]), None);
}

#[test]
fn it_is_idle_only_between_messages() {
    let mut assembler = Assembler::new(MAX);
    let mut after = |bytes: &[u8]| {
        assembler.feed(bytes);
        assembler.poll_all();
        assembler.is_idle()
    };
    assert!(after(&frame(0x81, b"whole")));
    assert!(!after(&[0x81]));
    assert!(!after(&frame(0x81, b"part")[1..7]));
    assert!(after(&frame(0x81, b"part")[7..]));
    assert!(!after(&frame(0x01, b"fragment")));
    assert!(!after(&frame(0x89, b"")));
    assert!(after(&frame(0x80, b"")));

    assembler.feed(&[frame(0x81, b"one"), frame(0x81, b"two")].concat());
    assert_eq!(assembler.poll(), Ok(Some(text("one"))));
    assert!(!assembler.is_idle(), "another message waits inside");
}

/// Frames of which most are legal, in any order, and some bytes that are not frames at all.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88]);
    let payload = prop_oneof![
        "[a€ü]{0,60}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..140),
        Just(vec![0x03, 0xe8, b'!']),
    ];
    let piece = prop_oneof![
        20 => (first, payload).prop_map(|(first, payload)| frame(first, &payload)),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn however_a_stream_is_cut_it_says_the_same(
        stream in any_stream(),
        cuts in prop::collection::vec(1usize..50, 1..20),
    ) {
        let whole = hear(std::slice::from_ref(&stream));
        let mut assembler = Assembler::new(MAX);
        let (mut heard, mut fault) = assembler.poll_all();
        let (mut rest, mut fed) = (&stream[..], 0);
        for cut in cuts.into_iter().cycle() {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            (rest, fed) = (after, fed + piece.len());
            assembler.feed(piece);
            let (more, end) = assembler.poll_all();
            heard.extend(more);
            fault = end;
            prop_assert!(assembler.buffered() <= 2 * fed.min(MAX) + MAX_CONTROL + 14);
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!((heard, fault), whole);
    }
}
