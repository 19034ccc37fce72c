//! Compares, now and then, the connections that are counted with the sockets that the process has open.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::connections::Connections;
use super::service::Service;
use crate::keeper::hub::Hub;
use abeyance_core::sync::lasting;
use abeyance_core::words::socket_count::SocketCount;

/// The audits of one server; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Audits(AbortHandle);

/// When the first one is: soon, so that `Hub::audit` has something to tell.
const FIRST: Duration = Duration::from_secs(1);

/// How often there is one.
const EVERY: Duration = Duration::from_secs(60);

/// The part of the time that they may take.
const SHARE: u32 = 1000;

/// A connection is not opened and counted at one instant, nor closed and uncounted, and a thread that is between the
/// two may have to wait for a core. A connection that came or left so shortly before or after a look is no difference.
const LIMBO: Duration = Duration::from_millis(50);

impl Audits {
    pub(super) fn start<H: Service>(connections: Arc<Connections<H>>, hub: Hub) -> Self {
        let auditing = tokio::spawn(async move {
            let mut pause = FIRST;
            loop {
                sleep(pause).await;
                pause = EVERY;
                let looking = lasting::waiting_turn("the audit", look(&connections, || hub.holds()));
                match looking.await {
                    Some(Some(look)) => {
                        pause = pause_after(look.took);
                        lasting::turn("the audit", || hub.judge(look));
                    }
                    // The system does not say what is open.
                    Some(None) => return,
                    None => {}
                }
            }
        });
        Audits(auditing.abort_handle())
    }
}

impl Drop for Audits {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Looks once; `None` where the system does not say what is open.
pub(super) async fn look<H: Service>(
    connections: &Connections<H>,
    holds: impl Fn() -> usize,
) -> Option<SocketCount> {
    let descriptors = connections.descriptors.clone()?;
    let earlier = connections.counts();
    sleep(LIMBO).await;
    let begun = Instant::now();
    // A connection that was turned away is not counted, but it has a socket for a moment.
    let count = connections.counts().count + connections.lingering();
    let holds = holds();
    // An error is the runtime's end.
    let open = spawn_blocking(move || descriptors.open()).await.ok()??;
    let took = begun.elapsed();
    sleep(LIMBO).await;
    let changes = connections.counts().changes_since(earlier);
    Some(SocketCount { connections: count, changes, open, holds, took })
}

fn pause_after(took: Duration) -> Duration {
    EVERY.max(took.saturating_mul(SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audits_take_a_thousandth_of_the_time_at_most() {
        assert_eq!(pause_after(Duration::from_millis(30)), Duration::from_secs(60));
        assert_eq!(pause_after(Duration::from_secs(2)), Duration::from_secs(2_000));
    }
}
