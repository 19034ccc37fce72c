//! A destructor that hangs blocks the thread that drops values; what else waits for that thread is bounded.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use abeyance::{Message, Server, Suspend, suspend};
use bytes::Bytes;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// Bytes whose destructor waits until the test is over, if it has something to wait for.
struct Body(Vec<u8>, Option<Receiver<()>>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(over) = &self.1 {
            let _ = over.recv();
        }
        DROPPED.fetch_add(1, SeqCst);
    }
}

#[suspend(path = "/hold")]
async fn hold() -> Suspend<()> {
    Suspend::new()
}

#[tokio::test]
async fn one_that_hangs_keeps_only_so_much_memory_of_the_others() {
    let (server, _dialer) = Server::new().mount(hold).bind_memory().unwrap();
    let hub = server.hub();
    let (over, waits) = channel();
    hub.publish("news", Message::from(Bytes::from_owner(Body(vec![0; 10], Some(waits)))));
    for _ in 0..2_000 {
        hub.publish("news", Message::from(Bytes::from_owner(Body(vec![0; 100_000], None))));
    }
    // 64 MiB may wait for the thread: 671 of these. The publisher has dropped the others itself.
    assert!(DROPPED.load(SeqCst) >= 2_000 - 671, "{}", DROPPED.load(SeqCst));
    drop(over);
    let all = async {
        while DROPPED.load(SeqCst) < 2_001 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("all to be dropped");
    server.shutdown().await;
}
