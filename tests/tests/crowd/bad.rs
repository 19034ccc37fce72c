//! Peers that do not read, or as good as not.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use abeyance::Transport;
use abeyance_tests::net::{HookRecorder, Machine, Peer};
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::{NARROW, WIDE};

/// One of them. When it is ended it comes back a second later, as calls do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bad {
    number: u8,
    transport: Transport,
    /// Whether it reads one byte a second, or nothing.
    reads: bool,
    /// What may wait for it.
    pub(crate) send_buffer: usize,
}

const SECOND: Duration = Duration::from_secs(1);

impl Bad {
    /// All kinds of them.
    pub(crate) fn kinds() -> [Bad; 8] {
        std::array::from_fn(|kind| Bad {
            number: kind as u8 + 1,
            transport: if kind & 1 == 0 { Transport::WebSocket } else { Transport::Sse },
            reads: kind & 2 == 0,
            send_buffer: if kind & 4 == 0 { NARROW } else { WIDE },
        })
    }

    /// Has it visit until all is over; gives the addresses from which it did. Of all visits but the last, the server
    /// has told the end.
    pub(crate) fn start(
        self,
        server: SocketAddr,
        hooks: &HookRecorder,
        over: &Arc<AtomicBool>,
        machine: &Arc<Machine>,
    ) -> JoinHandle<Vec<SocketAddr>> {
        let (hooks, over, machine) = (hooks.clone(), over.clone(), machine.clone());
        spawn(move || {
            let mut visits = Vec::new();
            while !over.load(Relaxed) {
                let peer = self.connect(server, visits.len() as u16);
                visits.push(peer.local_addr());
                self.stay(peer, &hooks, &over, &machine);
                machine.rest(SECOND);
            }
            visits
        })
    }

    /// Connects from an address of its own, by which it is told apart: the kernel gives ports again, and soon.
    fn connect(self, server: SocketAddr, visit: u16) -> Peer {
        let [high, low] = visit.to_be_bytes();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, self.number, high, low], 0)).into()).expect("an address");
        if !self.reads {
            socket.set_recv_buffer_size(4096).expect("a small buffer");
        }
        socket.connect(&server.into()).expect("a connection");
        Peer::over(socket.into())
    }

    /// Asks to be held, and stays until it is ended, or all is over.
    fn stay(self, mut peer: Peer, hooks: &HookRecorder, over: &AtomicBool, machine: &Machine) {
        let addr = peer.local_addr();
        peer.ask(if self.send_buffer == WIDE { "/wide" } else { "/narrow" }, self.transport);
        let mut stream = peer.idle();
        // Held: the head of the answer is there, and stays where it is. A peer that left before would have no end.
        let _ = stream.peek(&mut [0]);
        let mut next = Instant::now() + SECOND;
        loop {
            let has_ended = hooks.read(|calls| calls.ends.iter().any(|(_, ended)| ended.peer() == addr));
            if has_ended || over.load(Relaxed) {
                return;
            }
            if self.reads && Instant::now() >= next {
                next += SECOND;
                // An end may have come meanwhile.
                let _ = stream.read(&mut [0]);
            }
            machine.rest(Duration::from_millis(10));
        }
    }
}
