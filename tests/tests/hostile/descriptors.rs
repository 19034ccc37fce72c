//! A process that has no descriptor left, because silent connections or the application have them all.

use std::process::Command;
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::net::{Child, Peer, TRANSPORTS, curl, eventually, frame};
use tokio::time::Instant;

const MESSAGE: u8 = 0x81;

/// Starts the server with so few descriptors, and timeouts longer than the test.
fn start_server(descriptors: usize) -> (Child, std::net::SocketAddr) {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {descriptors} && exec \"$0\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_server_process")]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ABEYANCE_")) {
        command.env_remove(name);
    }
    command.envs([("ABEYANCE_HEAD_TIMEOUT", "10m"), ("ABEYANCE_KEEP_ALIVE", "10m")]);
    let mut child = Child::start(&mut command);
    let addr =
        child.wait_for_line(|line| line.trim().strip_prefix("abeyance: listening on http://")?.parse().ok());
    (child, addr)
}

/// Makes the application open or close files; returns how many it had.
fn tell(peer: &mut Peer, what: &str) -> usize {
    peer.send(frame(MESSAGE, what.as_bytes()));
    let answer = peer.frame().expect("an answer").payload;
    String::from_utf8(answer).unwrap().parse().unwrap()
}

#[test]
fn newcomers_are_answered_when_the_application_has_taken_all_descriptors() {
    let (mut child, addr) = start_server(80);
    let mut files = Peer::hold(addr, "/hold", Transport::WebSocket);
    let mut held: Vec<_> =
        TRANSPORTS.iter().map(|transport| (*transport, Peer::hold(addr, "/hold", *transport))).collect();
    for _ in 0..=TRANSPORTS.len() {
        child.wait_for_line(|line| line.starts_with("held: ").then_some(()));
    }
    // It rests: it is answered, and its connection is kept.
    let mut resting = Peer::connect(addr);
    resting.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(resting.answer().status, 404);
    assert!(tell(&mut files, "open files") > 20);

    // The first newcomer evicts the connection that waits between two requests; all later ones are refused.
    let newcomer = Peer::hold(addr, "/hold", Transport::Sse);
    assert_eq!(resting.read_to_end(), (Vec::new(), true));
    for _ in 0..20 {
        let mut refused = Peer::connect(addr);
        refused.send("GET /hold HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = refused.answer();
        assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        assert!(answer.header("retry-after").is_some());
        let said = curl(&["-o", "/dev/null", "-w", "%{http_code}", &format!("http://{addr}/hold")]).stdout;
        assert_eq!(String::from_utf8_lossy(&said), "503");
    }

    // Silent connections are refused at once, and the server does not spin meanwhile.
    let silent: Vec<_> = (0..64).map(|_| Peer::connect(addr)).collect();
    let (before, begun) = (child.ticks(), Instant::now());
    // A window to look at, not a wait for something.
    eventually("a second", || begun.elapsed() >= Duration::from_secs(1));
    let used = child.ticks() - before;
    assert!(used < 50, "it spins: {used} of 100 ticks");
    for mut peer in silent {
        assert!(peer.read_to_end().0.starts_with(b"HTTP/1.1 503 "));
    }

    // No hold was affected. When there are descriptors again, the server accepts as before.
    assert!(tell(&mut files, "close files") > 20);
    assert_eq!(tell(&mut files, "how many"), 0);
    held.push((Transport::Sse, newcomer));
    held.extend(TRANSPORTS.map(|transport| (transport, Peer::hold(addr, "/hold", transport))));
    let mut served = Peer::connect(addr);
    served.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(served.answer().status, 404);
    // A long poll shows nothing until it is answered; by the time of the signal it must be held.
    for _ in 0..=TRANSPORTS.len() {
        child.wait_for_line(|line| line.starts_with("held: ").then_some(()));
    }
    child.signal("TERM");
    for (transport, peer) in &mut held {
        match transport {
            Transport::LongPoll => assert_eq!(peer.answer().status, 503),
            Transport::WebSocket => {
                assert_eq!(peer.frame().and_then(|frame| Some(frame.close()?.0)), Some(1001));
            }
            _ => assert!(peer.read_to_end().0.ends_with(b"0\r\n\r\n"), "{transport:?}"),
        }
    }
    assert!(files.frame().is_some_and(|frame| frame.close().is_some()));
    drop((held, files));
    let (status, said) = child.exit();
    assert_eq!(status.code(), Some(0), "{said}");
}

#[test]
fn silent_connections_on_every_descriptor_make_room_for_others() {
    // Room for 64.
    let (mut child, addr) = start_server(96);
    let mut held: Vec<_> = (0..20).map(|_| Peer::hold(addr, "/hold", Transport::Sse)).collect();
    for _ in 0..held.len() {
        child.wait_for_line(|line| line.starts_with("held: ").then_some(()));
    }
    let mut silent: Vec<_> = (0..100).map(|_| Peer::connect(addr)).collect();
    for turn in 0..50 {
        // One that sends nothing, one that sends half a request.
        silent.push(Peer::connect(addr));
        silent.push(Peer::connect(addr));
        silent.last_mut().unwrap().send("GET /hold HTTP/1.1\r\nHost: te");
        let mut good = Peer::connect(addr);
        good.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(good.answer().status, 404, "{turn}");
        if turn % 10 == 0 {
            good.ask("/hold", Transport::Sse);
            good.begin(Transport::Sse);
            held.push(good);
        }
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
    assert!(open <= 96, "{open}");
    // The oldest silent connections were closed without an answer.
    for peer in &mut silent[..100] {
        assert_eq!(peer.read_to_end(), (Vec::new(), false));
    }
    child.signal("TERM");
    for peer in &mut held {
        assert!(peer.read_to_end().0.ends_with(b"0\r\n\r\n"));
    }
    drop((silent, held));
    let (status, said) = child.exit();
    assert_eq!(status.code(), Some(0), "{said}");
}
