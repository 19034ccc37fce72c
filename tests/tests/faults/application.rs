//! The server of a round: one endpoint, whose path says in which state its hold is wanted.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use abeyance::extract::{Path, State};
use abeyance::{End, Ended, Held, Hub, Lifecycle, Message, Retention, Server, Suspend, suspend};
use abeyance_tests::net::TcpTestServer;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::axes;
use super::client_log::{Calls, ClientLog, EndCall};
use super::host_network::HostNetwork;

/// The timeouts of a round's server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) max_idle: Duration,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) write_timeout: Duration,
    pub(crate) close_timeout: Duration,
}

/// What a round sees of the server, and shares with its contexts.
pub(crate) struct Application {
    pub(crate) addr: SocketAddr,
    pub(crate) hub: Hub,
    pub(crate) log: ClientLog,
    /// Hooks wait for it in some states.
    gate: Gate,
}

#[derive(Clone)]
struct Gate(Arc<Semaphore>);

#[derive(Clone, Copy)]
struct Clocks(Timeouts);

/// More bytes than kernels keep for a peer that does not read.
pub(crate) const MUCH: usize = 6 << 20;

/// What the topic `past` keeps: more than the send buffer of a client that is behind, and more than the kernel keeps.
const PAST: usize = 128;
const PART: usize = 60 << 10;

impl Application {
    pub(crate) fn start(timeouts: Timeouts, hosts: &HostNetwork) -> (TcpTestServer, Self) {
        let (log, gate) = (ClientLog::default(), Gate(Arc::new(Semaphore::new(0))));
        let server = Server::new()
            .state(log.clone())
            .state(gate.clone())
            .state(Clocks(timeouts))
            .topic("past", Retention::new().bytes(32 << 20))
            .max_buffered(1 << 30)
            .head_timeout(Duration::from_secs(4))
            .keep_alive(Duration::from_secs(2))
            .hook_timeout(Duration::from_secs(3600))
            .drain(Duration::from_secs(30))
            .write_timeout(timeouts.write_timeout)
            .close_timeout(timeouts.close_timeout)
            .mount(hold);
        let server = TcpTestServer::serve(server, hosts.listen());
        for _ in 0..PAST {
            server.hub.publish("past", "x".repeat(PART));
        }
        let application = Application { addr: server.addr, hub: server.hub.clone(), log, gate };
        (server, application)
    }

    /// Publishes more than kernels take to all holds that are to have bytes pending; returns how many these were.
    pub(crate) fn publish_much(&self) -> usize {
        self.hub.publish("much", "x".repeat(MUCH))
    }

    /// The hook calls of one client.
    pub(crate) fn calls(&self, host: Ipv4Addr) -> Calls {
        self.log.calls(host.into())
    }

    /// Lets all hooks go on.
    pub(crate) fn open_gate(&self) {
        self.gate.0.close();
    }
}

#[suspend(path = "/{state}", timeout = "1h", max_idle = "2h", heartbeat = "none", send_buffer = "64MiB")]
async fn hold(
    Path(state): Path<String>,
    State(log): State<ClientLog>,
    State(gate): State<Gate>,
    State(Clocks(timeouts)): State<Clocks>,
) -> Suspend<Context> {
    let state = axes::State::ALL.into_iter().find(|known| known.name() == state).expect("a state");
    let hold =
        Suspend::with(Context { state, log, gate }).max_idle(timeouts.max_idle).heartbeat(timeouts.heartbeat);
    match state {
        axes::State::Pending | axes::State::Draining => hold.join("much"),
        axes::State::Replaying => hold.join_with_history("past").send_buffer(256 << 10),
        _ => hold,
    }
}

/// Records each call of its hooks, and waits at the gate where its state wants that.
struct Context {
    state: axes::State,
    log: ClientLog,
    gate: Gate,
}

impl Gate {
    /// Waits until the gate is open, or the hold's end has begun. A hook is never cut, so it must watch for the end itself.
    async fn pass(&self, held: &Held) {
        tokio::select! {
            _ = self.0.acquire() => {}
            () = held.ended() => {}
        }
    }
}

impl Lifecycle for Context {
    async fn on_suspend(&mut self, held: &Held) {
        self.log.write(held.peer().ip(), |calls| calls.hold = Some(held.id()));
        if self.state == axes::State::Opening {
            self.gate.pass(held).await;
        }
    }

    async fn on_message(&mut self, held: &Held, _: Message) {
        self.log.write(held.peer().ip(), |calls| calls.messages += 1);
        self.gate.pass(held).await;
    }

    async fn on_end(self, ended: &Ended, end: End) {
        let call = EndCall { end, ended: ended.clone(), at: Instant::now() };
        self.log.write(ended.peer().ip(), |calls| calls.ends.push(call));
    }
}
