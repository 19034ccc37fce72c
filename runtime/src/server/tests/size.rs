//! The budget of a connection's task while it is held.

use std::task::{Context, Waker};

use super::super::connection::serve;
use super::super::connections::Connections;
use super::super::idle_slot::IdleSlot;
use super::*;
use crate::socket::{Listener, Socket};

/// tokio's task cell is aligned to 128 bytes; a future of up to this size fits into 256.
const BUDGET: usize = 152;
/// The part of it that attending a hold may take. The real future is held to it beside its code.
const ATTENDING: usize = 104;

struct SizeService(ServerConfig, Time);

struct LargestHold;

impl Service for SizeService {
    type PendingHold = LargestHold;

    fn server_config(&self) -> &ServerConfig {
        &self.0
    }

    fn time(&self) -> &Time {
        &self.1
    }

    async fn handle(
        self: Arc<Self>,
        _: Request<Incoming>,
        _: SocketAddr,
    ) -> Result<Response<Body>, LargestHold> {
        Err(LargestHold)
    }

    fn held(&self) -> usize {
        0
    }

    fn ending(&self) -> usize {
        0
    }

    fn hooks(&self) -> usize {
        0
    }

    fn deny(&self, _: RefusalReason, _: SocketAddr) {}

    fn count_turned_away(&self) {}

    async fn quiet(&self) {}

    async fn drain(&self) {}

    fn stop(&self) {}

    fn cut(&self) -> bool {
        false
    }
}

impl PendingHold for LargestHold {
    fn attend(self, socket: &Arc<dyn Socket>, unread: Bytes) -> impl Future<Output = After> + Send {
        // Exactly as large as is allowed: what it holds, and the socket.
        drop(unread);
        let mut attending = ([0u8; ATTENDING - 8], socket);
        std::future::poll_fn(move |_| {
            let whole: &mut ([u8; ATTENDING - 8], &Arc<dyn Socket>) = &mut attending;
            whole.0[0] = 1;
            std::task::Poll::Pending
        })
    }
}

#[tokio::test]
async fn a_held_connection_fits_into_the_small_task_cell() {
    let (mut listener, dialer) = MemoryAcceptor::new();
    let mut peer = dialer.connect(SocketAddr::from(([10, 0, 0, 1], 1))).unwrap();
    let socket = listener.accept().await.unwrap();
    let weak = Arc::downgrade(&socket);
    let connections =
        Connections::new(Arc::new(SizeService(ServerConfig::default(), Time::start())), 10, None);
    let slot = IdleSlot::new(connections.clone(), connections.unheld.lock().come_back(None));
    let mut serving = Box::pin(serve(connections.guard(), slot, socket));
    let size = std::mem::size_of_val(&*serving);
    assert!(size <= BUDGET, "{size} bytes");
    println!("{size} of {BUDGET} bytes");

    say(&mut peer, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(serving.as_mut().poll(&mut cx).is_pending());
    assert_eq!(weak.strong_count(), 1, "the connection's, nothing of hyper's");
    assert_eq!(Arc::strong_count(&connections), 2, "ours and the connection's");
}
