//! One client in one cell: how it gets into its state, and what it does then.

use std::net::Ipv4Addr;
use std::thread::{JoinHandle, spawn};

use abeyance::{HoldId, Transport};
use abeyance_tests::net::{Peer, TEST_TIMEOUT, frame};
use tokio::time::Instant;

use super::application::Application;
use super::axes::{Fault, State};
use super::host_network::HostNetwork;
use super::seconds;
use super::table::Cell;

/// A client.
pub(crate) struct FaultyClient {
    pub(crate) cell: Cell,
    /// How it leaves, if it was no reason to end its hold.
    pub(crate) way: Way,
    pub(crate) host: Ipv4Addr,
    hold: HoldId,
    peer: Option<Peer>,
    /// The connection of half a `POST`.
    beside: Option<Peer>,
    /// The thread that reads to the end; returns whether that was a FIN, and the socket, still open.
    reading: Option<JoinHandle<(bool, Peer)>>,
    next_byte: Instant,
    /// When it gave its last sign of life, if it is to vanish.
    pub(crate) spoke: Option<Instant>,
}

/// How a client leaves that is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Fin,
    Reset,
}

/// As little as a socket can be made to take.
const SMALL: usize = 4096;

/// Of this a `POST` and a frame have more than will ever come.
const LENGTH: u8 = 200;

impl FaultyClient {
    /// Connects, and gets as far into its state as it can by itself.
    pub(crate) fn connect(application: &Application, hosts: &HostNetwork, cell: Cell, way: Way) -> Self {
        let Cell { fault, transport, state, .. } = cell;
        let host = hosts.host();
        let connect = || hosts.connect(host, application.addr, fault.is_slow().then_some(SMALL));
        let mut peer = connect();
        // What a poll waits for would be its answer, and nothing is left to end.
        let is_poll = transport == Transport::LongPoll;
        let place = if is_poll && state == State::Draining { State::Idle } else { state };
        peer.ask(&format!("/{}", place.name()), transport);
        let token = began(&mut peer, transport);
        let hold = application.log.wait(host.into(), TEST_TIMEOUT, |calls| calls.hold);
        let hold = hold.unwrap_or_else(|| panic!("{cell} is never held"));
        let post = |length: u8| {
            let mut beside = connect();
            let (path, token) = (state.name(), token.as_deref().expect("a token"));
            beside.send(format!(
                "POST /{path} HTTP/1.1\r\nHost: test\r\nAbeyance-Hold: {token}\r\nContent-Length: {length}\r\n\r\nhello"
            ));
            beside
        };
        let mut beside = None;
        match (state, transport) {
            (State::OnMessage, Transport::WebSocket) => peer.send(frame(0x81, b"hello")),
            (State::OnMessage, _) => assert_eq!(post(5).answer().status, 202),
            (State::MidMessage, Transport::WebSocket) => {
                peer.send([0x81, 0xfe, 0, LENGTH, 0, 0, 0, 0, b'h']);
            }
            (State::MidMessage, Transport::LongPoll) => peer.send("GET /idle HTTP/1.1\r\nHo"),
            (State::MidMessage, _) => beside = Some(post(LENGTH)),
            _ => {}
        }
        if state == State::OnMessage {
            let messages =
                application.log.wait(host.into(), TEST_TIMEOUT, |calls| (calls.messages > 0).then_some(()));
            assert!(messages.is_some(), "{cell} is never messages");
        }
        let (peer, reading) = (Some(peer), None);
        FaultyClient { cell, way, host, hold, peer, beside, reading, next_byte: Instant::now(), spoke: None }
    }

    /// The last sign of life of one that is about to vanish, so that its silence begins then and no sooner.
    pub(crate) fn last_word(&mut self) {
        let is_between = self.cell.transport == Transport::WebSocket && self.cell.state != State::MidMessage;
        self.spoke = Some(Instant::now());
        let peer = self.peer.as_mut().expect("it has just come");
        peer.send(if is_between { frame(0x8a, b"") } else { vec![b'x'] });
    }

    /// Does what goes wrong. (Vanishing is the network's matter.)
    pub(crate) fn go_wrong(&mut self, application: &Application) {
        let Cell { fault, transport, state, .. } = self.cell;
        let peer = self.peer.as_mut().expect("it has just come");
        match fault {
            Fault::BlackHole | Fault::ZeroWindow | Fault::OneByteASecond => {}
            Fault::Fin => drop((self.peer.take(), self.beside.take())),
            Fault::Reset => {
                self.peer.take().into_iter().chain(self.beside.take()).for_each(Peer::reset);
            }
            // On a WebSocket it is the beginning of a frame, on the others an unexpected byte.
            Fault::StrayByte => peer.try_send([0x81]),
            Fault::PipelinedRequest => peer.try_send("GET /idle HTTP/1.1\r\nHost: test\r\n\r\n"),
            // A frame with all reserved bits, or more than 64 KiB of unexpected bytes.
            Fault::Garbage => peer.try_send([0xff; 70_000]),
            Fault::HalfClose => peer.fin(),
            Fault::CloseIgnored if state == State::Draining => {}
            // A long poll that has its answer has ended before.
            Fault::CloseIgnored => {
                let is_answered = transport == Transport::LongPoll && state == State::Pending;
                assert_eq!(application.hub.resume(self.hold), !is_answered, "{}", self.cell);
            }
        }
        if fault.reads_on(state)
            && let Some(mut peer) = self.peer.take()
        {
            self.reading = Some(spawn(move || (peer.read_to_end().1, peer)));
        }
    }

    /// Does what it does now and then.
    pub(crate) fn tend(&mut self) {
        if self.cell.fault != Fault::OneByteASecond || Instant::now() < self.next_byte {
            return;
        }
        self.next_byte += seconds(1);
        match (self.cell.state, &mut self.beside, &mut self.peer) {
            (State::MidMessage, Some(beside), _) => beside.try_send("x"),
            (State::MidMessage, None, Some(peer)) => peer.try_send("x"),
            (_, _, Some(peer)) => peer.sip(),
            _ => {}
        }
    }

    /// Leaves, since it was not ended.
    pub(crate) fn leave(&mut self) {
        match self.way {
            Way::Fin => self.peer.as_ref().expect("it stays").fin(),
            Way::Reset => self.peer.take().expect("it stays").reset(),
        }
    }

    /// If the client read to the end: how many bytes it got, and whether a FIN was behind them.
    pub(crate) fn go(self) -> Option<(u64, bool)> {
        let (is_fin, peer) = self.reading?.join().expect("a reader");
        Some((peer.received(), is_fin))
    }
}

/// Reads what a held answer begins with; gives the token, if there is one.
fn began(peer: &mut Peer, transport: Transport) -> Option<String> {
    if transport == Transport::LongPoll {
        return None;
    }
    let head = peer.head();
    assert_eq!(head.status, if transport == Transport::WebSocket { 101 } else { 200 }, "{head:?}");
    if transport == Transport::Sse {
        peer.read_until(b"\n\n");
    }
    head.header("abeyance-hold").map(str::to_owned)
}
