//! A whole server, and one peer that sends it anything, in any pieces: in any case the connection ends, the law
//! holds, each hold is told its end once, nothing fails on our side, and the next peer is served.
//!
//! Another client may be held beside it, for which it may speak: its bytes have names where tokens are to stand.

mod answers; // what the peer was answered
mod application; // what is served
mod client_post; // what was said for a hold, and what it heard
mod listener; // who is held beside it
mod log; // what the application was told
mod names; // where tokens are to stand
mod requests; // what it asked for
mod script; // how the peer behaves
mod wire; // what a held peer was written

use std::net::SocketAddr;
use std::time::Duration;

use abeyance::memory::{Dialer, MemoryStream};
use abeyance::{Hub, Retention, Server, ServerHandle, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::pieces::{first_line, pieces};
use answers::{Answer, answers};
use listener::Listener;
use log::Log;
use requests::{SentRequest, sent_requests};
use script::{Close, Script};

/// What a peer has said by then it never ends saying.
const LONGEST: usize = 4096;

/// Longer than all that the server may wait for, of the paused clock.
const PATIENCE: Duration = Duration::from_secs(900);

/// A line of words, as [`Script`] has them; then what the peer sends.
pub(crate) fn connections(data: &[u8]) {
    let (words, bytes) = first_line(data);
    if bytes.len() > LONGEST {
        return;
    }
    let script = Script::read(&String::from_utf8_lossy(words));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing").block_on(serve(&script, bytes));
}

async fn serve(script: &Script, bytes: &[u8]) {
    // Clocks and waits are drawn, the same in each run.
    fastrand::seed(1);
    let log = Log::default();
    let (running, dialer) = open(&log);
    let hub = running.hub();
    let (listener, bytes) = match script.beside {
        Some(transport) => {
            let past = Listener::past(transport, &dialer, &log, &hub).await;
            let stay = if script.is_brief { Duration::from_millis(120) } else { PATIENCE };
            let listener = Listener::begin(transport, stay, &dialer, &log).await;
            let bytes = names::filled(bytes, &listener.token, &past);
            (Some(listener), bytes)
        }
        None => (None, bytes.to_vec()),
    };
    let peer = stay(script, &bytes, &dialer).await;
    all_over(&hub).await;
    peer.answers.iter().for_each(wire::check);
    client_post::check(&peer, listener.as_ref(), &log);
    if let Some(listener) = listener {
        listener.check(&log).await;
    }
    greet(&dialer, &log).await;
    speak(&dialer, &log).await;
    shut_down(running, &log).await;
}

/// Not at once where the peer has vanished, or reads nothing.
async fn all_over(hub: &Hub) {
    let is_over = timeout(PATIENCE, async {
        while hub.stats().held + hub.stats().ending + hub.stats().hooks_running > 0 {
            sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(is_over.await.is_ok(), "held for ever: {:?}", hub.stats());
}

/// What a peer said, and what it heard.
struct Peer {
    requests: Vec<SentRequest>,
    answers: Vec<Answer>,
    /// How much it had heard by when.
    times: Vec<(usize, Instant)>,
    /// It stayed to the end, so each answer came to it.
    has_heard_all: bool,
}

/// A server that waits for no peer long.
fn open(log: &Log) -> (ServerHandle, Dialer) {
    let second = Duration::from_secs(1);
    let keep = Retention::new().count(3);
    let server = application::mount(Server::new(), log)
        .topic("kept", keep)
        .head_timeout(second)
        .function_timeout(second)
        .hook_timeout(application::HOOK_TIMEOUT)
        .write_timeout(second)
        .close_timeout(second)
        .keep_alive(second)
        .drain(second)
        .max_suspended(4)
        .trusted_proxies(["10.0.0.1"])
        .allowed_origins(["https://friend.example"]);
    server.bind_memory().unwrap_or_else(|error| panic!("{error}"))
}

/// One connection from its beginning to its end.
async fn stay(script: &Script, bytes: &[u8], dialer: &Dialer) -> Peer {
    let stream = dialer.connect(SocketAddr::from(([10, 0, 0, 1], 1))).expect("the server listens");
    if script.is_deaf {
        stream.window(0);
    }
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (mut heard, mut times) = (Vec::new(), Vec::new());
    let write = async {
        // The request itself is never slow.
        for (bytes, pause) in [(script.request.as_bytes(), None), (bytes, Some(script.pause))] {
            for piece in pieces(bytes, &script.lengths) {
                // Where the server reads no more, the rest is never sent.
                if !matches!(timeout(PATIENCE, writing.write_all(piece)).await, Ok(Ok(()))) {
                    return;
                }
                match pause {
                    None => {}
                    Some(Duration::ZERO) => tokio::task::yield_now().await,
                    Some(pause) => sleep(pause).await,
                }
            }
            if script.is_later {
                sleep(Duration::from_millis(10)).await;
            }
        }
        if script.close == Close::Half {
            let _ = writing.shutdown().await;
        }
    };
    let read = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = reading.read(&mut buffer).await {
            heard.extend_from_slice(&buffer[..count]);
            times.push((heard.len(), Instant::now()));
        }
    };
    match script.close {
        Close::Not | Close::Half => {
            let both = timeout(PATIENCE, async { tokio::join!(read, write) }).await;
            assert!(both.is_ok() || script.is_deaf, "the connection never ends");
        }
        Close::Reset | Close::Vanish => {
            let mut read = std::pin::pin!(read);
            tokio::select! {
                // Not drawn: the same in each run.
                biased;
                () = &mut read => {}
                () = write => {}
            }
        }
    }
    let stream: MemoryStream = reading.unsplit(writing);
    match script.close {
        Close::Reset => stream.reset(),
        Close::Vanish => {
            stream.vanish();
            // Its end is kept: dropping it would close it.
            sleep(PATIENCE).await;
        }
        Close::Not | Close::Half => {}
    }
    let requests = sent_requests(&[script.request.as_bytes(), bytes].concat());
    let answers = answers(&requests, &heard);
    if let (Some(transport), Some(first)) = (script.held, answers.first()) {
        assert_eq!(
            first.code,
            if transport == Transport::WebSocket { 101 } else { 200 },
            "to a good request"
        );
        assert!(transport != Transport::LongPoll || b"welcome".starts_with(&first.body), "{first:?}");
    }
    let has_heard_all = matches!(script.close, Close::Not | Close::Half) && !script.is_deaf;
    Peer { requests, answers, times, has_heard_all }
}

/// Another peer is served as if nothing had been.
async fn greet(dialer: &Dialer, log: &Log) {
    let held = log.begun();
    let answer = ask(dialer, "GET /hold/now?transport=long_poll", "").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nnow"), "{answer}");
    assert_eq!(log.begun(), held + 1);
}

/// And speaks as if nothing had been.
async fn speak(dialer: &Dialer, log: &Log) {
    let listener = Listener::begin(Transport::Sse, PATIENCE, dialer, log).await;
    for (method, code) in [("POST", 202), ("DELETE", 204), ("POST", 404)] {
        let line = format!("{method} /hold/x?hold={}", listener.token);
        let answer = ask(dialer, &line, "so it is").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{line}: {answer}");
    }
    let heard = log.heard(listener.id);
    assert_eq!(heard.iter().map(|heard| heard.message.as_text()).collect::<Vec<_>>(), [Some("so it is")]);
    listener.check(log).await;
}

/// One request on a connection of its own, and its answer.
async fn ask(dialer: &Dialer, line: &str, body: &str) -> String {
    let mut stream = dialer.connect(SocketAddr::from(([10, 0, 0, 2], 1))).expect("the server listens");
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(matches!(read, Ok(Ok(_))), "a good request is not answered: {read:?}");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn shut_down(running: ServerHandle, log: &Log) {
    let hub = running.hub();
    let stopped = timeout(PATIENCE, running.shutdown()).await;
    assert!(stopped.is_ok(), "the server never stops");
    let stats = hub.stats();
    assert!(stats.is_lawful() && stats.held == 0 && stats.ending == 0, "{stats:?}");
    assert_eq!((stats.hooks_failed, stats.ended("failed"), stats.waiting), (0, 0, 0), "{stats:?}");
    log.check(stats.suspended);
}
