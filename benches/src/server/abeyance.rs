//! abeyance: one topic that all have joined.

use std::io;
use std::net::SocketAddr;

use abeyance::{Hub, ServerHandle, Suspend, suspend};
use tokio::runtime::Runtime;

use super::Server;

pub(super) struct Abeyance {
    hub: Hub,
    server: ServerHandle,
    runtime: Runtime,
}

// Without heartbeats: a peer that gets one would take it for a wrong message. The clocks run as they always do.
#[suspend(path = "/news", transports = [websocket, sse], max_idle = "12h", heartbeat = "none")]
async fn news() -> Suspend {
    Suspend::new().join("news")
}

impl Abeyance {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Runtime::new()?;
        let server = abeyance::Server::new().mount(news);
        let server = runtime.block_on(server.bind("127.0.0.1:0")).map_err(io::Error::other)?;
        Ok(Abeyance { hub: server.hub(), server, runtime })
    }
}

impl Server for Abeyance {
    fn local_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    fn publish(&mut self, text: String) -> usize {
        let _on_the_runtime = self.runtime.enter();
        self.hub.publish("news", text)
    }
}
