//! The first program of the README is right to copy: it is run here as it stands there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use abeyance::Transport;
use abeyance_tests::net::{Child, Peer, eventually, frame};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).expect("a file")
}

/// The first block of Rust in a text of markdown.
fn first_program(text: &str, fence: &str) -> String {
    let (_, rest) = text.split_once(&format!("{fence}\n")).expect("a program");
    rest.split_once("```\n").expect("its end").0.to_owned()
}

#[test]
fn the_program_that_is_run_here_is_that_of_the_readme_and_of_the_crate() {
    let run = read("tests/src/bin/program.rs");
    let program = first_program(&read("README.md"), "```rust,no_run");
    assert!(run.ends_with(&program), "tests/src/bin/program.rs is not:\n{program}");
    let lines = read("runtime/src/lib.rs");
    let lines = lines.lines().filter_map(|line| line.strip_prefix("//!"));
    let docs: String = lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
    assert_eq!(first_program(&docs, "```no_run"), program);
}

#[test]
fn a_quiet_room_stays_open_and_an_answered_poll_has_not_left() {
    let mut child =
        Child::start(Command::new(env!("CARGO_BIN_EXE_program")).env("ABEYANCE_LISTEN", "127.0.0.1:0"));
    let addr =
        child.wait_for_line(|line| line.trim().strip_prefix("abeyance: listening on http://")?.parse().ok());
    let line = child.wait_for_line(|line| line.contains("/rooms/{room} [").then(|| line.to_owned()));
    assert!(line.contains(" timeout=none ") && line.contains("timeout(long_poll)=30s"), "{line}");

    let room = "/rooms/lobby?nick=";
    let mut ada = Peer::hold(addr, &format!("{room}ada"), Transport::WebSocket);
    let mut bob = Peer::hold(addr, &format!("{room}bob"), Transport::Sse);
    let polls: Vec<_> = ["pat", "pam"]
        .into_iter()
        .map(|nick| {
            thread::spawn(move || {
                let mut peer = Peer::connect(addr);
                peer.ask(&format!("{room}{nick}"), Transport::LongPoll);
                let first = peer.answer();
                let id = first.header("last-event-id").expect("an id").to_owned();
                (peer, id)
            })
        })
        .collect();
    let mut said = 0;
    eventually("both polls to be answered", || {
        ada.send(frame(0x81, format!("{said}").as_bytes()));
        said += 1;
        polls.iter().all(thread::JoinHandle::is_finished)
    });
    // They come back, and miss nothing: the room keeps its past.
    for (poll, nick) in polls.into_iter().zip(["pat", "pam"]) {
        let (mut peer, mut id) = poll.join().expect("an answer");
        let last = format!("ada: {said}");
        ada.send(frame(0x81, format!("{said}").as_bytes()));
        said += 1;
        loop {
            peer.ask(&format!("{room}{nick}&last_event_id={id}"), Transport::LongPoll);
            let answer = peer.answer();
            assert!(answer.status == 200 && answer.text().starts_with("ada: "), "{answer:?}");
            if answer.text() == last {
                break;
            }
            id = answer.header("last-event-id").expect("an id").to_owned();
        }
    }
    ada.send(frame(0x81, b"the end"));
    let told: Vec<_> =
        (0..=said).map(|_| String::from_utf8(ada.frame().expect("a frame").payload).expect("text")).collect();
    let expected = (0..said).map(|number| format!("ada: {number}")).chain(["ada: the end".to_owned()]);
    assert_eq!(told, expected.collect::<Vec<_>>());
    let events = String::from_utf8(bob.read_until(b"data: ada: the end\n\n")).expect("text");
    assert!(!events.contains("left"), "{events}");
    // Who goes for good has left.
    drop(ada);
    bob.read_until(b"data: ada left: ");
}
