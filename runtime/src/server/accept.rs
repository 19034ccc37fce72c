//! Accepting connections. No error of the kernel ends it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connections::Connections;
use super::service::Service;
use super::turn_away::TurnAway;
use crate::socket::Listener;
use abeyance_core::sync::lasting;

/// Accepts for as long as it is polled; no error ends it.
pub(super) async fn accept<H: Service>(mut listener: impl Listener, connections: Arc<Connections<H>>) {
    let mut trouble = Trouble::default();
    loop {
        if lasting::waiting_turn("accepting", accept_one(&mut listener, &connections, &mut trouble))
            .await
            .is_none()
        {
            // If it panics again at once, it must not take all processor time.
            tokio::time::sleep(Trouble::FIRST).await;
        }
    }
}

async fn accept_one<H: Service>(
    listener: &mut impl Listener,
    connections: &Arc<Connections<H>>,
    trouble: &mut Trouble,
) {
    match listener.accept().await {
        Ok(socket) => {
            if trouble.is_over(Instant::now()) {
                tracing::info!("accepting connections again");
            }
            connections.receive(socket).await;
        }
        Err(error) if is_passing(&error) => {}
        Err(error) => {
            if trouble.begins(Instant::now()) {
                tracing::error!(%error, connections = connections.count(), "cannot accept connections");
            }
            if !accept_on_spare_fd(listener, connections).await {
                tokio::time::sleep(trouble.pause()).await;
            } else {
                trouble.eased();
            }
        }
    }
}

/// One round without a descriptor to accept with: a connection that waits makes room for the new one, or the new one is
/// turned away. `false` if not even that was possible: the listener stays ready, so trying again at once would spin.
async fn accept_on_spare_fd<H: Service>(
    listener: &mut impl Listener,
    connections: &Arc<Connections<H>>,
) -> bool {
    let has_spare = listener.keep_spare() || (connections.evict_idlest().await && listener.keep_spare());
    if !has_spare {
        return false;
    }
    match listener.accept_on_spare() {
        Some(Ok(socket)) => match connections.enter(&socket).await {
            // Another part of this process may have taken the descriptor that was given up.
            Some(Ok(slot))
                if listener.keep_spare() || (connections.evict_idlest().await && listener.keep_spare()) =>
            {
                connections.admit(slot, socket);
            }
            Some(Ok(_)) => connections.turn_away_at_once(socket, TurnAway::Full).await,
            Some(Err(why)) => connections.turn_away_at_once(socket, why).await,
            None => {}
        },
        Some(Err(error)) if !is_passing(&error) => return false,
        // No connection was waiting; with a descriptor left the listener would have said so.
        Some(Err(_)) | None => {}
    }
    listener.keep_spare()
}

/// Whether this one connection failed, and the next may not. Otherwise the process or the machine is short of something
/// (EMFILE, ENFILE, ENOBUFS, ENOMEM), or the error was not foreseen; it must not end the server either.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock)
}

/// An episode of failing accepts.
#[derive(Debug, Default)]
struct Trouble {
    /// When accepting failed last, in an episode.
    last: Option<Instant>,
    /// The last pause.
    pause: Duration,
}

impl Trouble {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);
    /// How long no accept may fail until the episode is over. At the edge of a shortage every other accept fails, and
    /// each failure would be logged otherwise.
    const QUIET: Duration = Duration::from_secs(5);

    /// Accepting failed; says whether that begins an episode.
    fn begins(&mut self, now: Instant) -> bool {
        self.last.replace(now).is_none()
    }

    /// How long to wait: longer each time in a row.
    fn pause(&mut self) -> Duration {
        self.pause = (self.pause * 2).clamp(Self::FIRST, Self::LONGEST);
        self.pause
    }

    /// There was no need to wait.
    fn eased(&mut self) {
        self.pause = Duration::ZERO;
    }

    /// A connection was accepted; says whether that ends an episode.
    fn is_over(&mut self, now: Instant) -> bool {
        self.eased();
        let is_over = self.last.is_some_and(|last| now.duration_since(last) >= Self::QUIET);
        if is_over {
            self.last = None;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn a_shortage_is_waited_out_with_growing_pauses_and_told_once() {
        let (mut trouble, mut now) = (Trouble::default(), Instant::now());
        let mut pauses = Vec::new();
        for turn in 0..9 {
            assert_eq!(trouble.begins(now), turn == 0);
            let pause = trouble.pause();
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(!trouble.is_over(now), "one accept is not the end of it");
        assert!(!trouble.begins(now));
        assert_eq!(trouble.pause(), Trouble::FIRST);
        now += Trouble::QUIET;
        assert!(trouble.is_over(now));
        assert!(!trouble.is_over(now), "told once");
        assert!(trouble.begins(now));
    }

    #[test]
    fn one_failed_connection_is_no_shortage() {
        for code in [libc::ECONNABORTED, libc::EINTR] {
            assert!(is_passing(&io::Error::from_raw_os_error(code)));
        }
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
            assert!(!is_passing(&io::Error::from_raw_os_error(code)));
        }
    }
}
