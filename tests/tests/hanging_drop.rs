//! A destructor that hangs costs nobody else anything.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use abeyance::{Message, Server, Suspend, suspend};
use bytes::Bytes;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Own(Vec<u8>, bool);

impl AsRef<[u8]> for Own {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.1 {
            std::thread::sleep(Duration::from_secs(10));
        }
        DROPPED.fetch_add(1, SeqCst);
    }
}

#[suspend(path = "/hold")]
async fn hold() -> Suspend<()> {
    Suspend::new()
}

#[tokio::test]
async fn one_destructor_that_hangs_keeps_no_memory_of_others() {
    let (server, _dialer) = Server::new().mount(hold).memory(1 << 20).bind_memory().unwrap();
    let hub = server.hub();
    hub.publish("news", Message::from(Bytes::from_owner(Own(vec![0; 10], true))));
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..2_000 {
        hub.publish("news", Message::from(Bytes::from_owner(Own(vec![0; 100_000], false))));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Otherwise they are 200 MB, of which nothing counts.
    assert!(DROPPED.load(SeqCst) > 1_000, "{}", DROPPED.load(SeqCst));
    server.shutdown().await;
}
