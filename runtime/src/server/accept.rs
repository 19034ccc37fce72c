//! Accepting connections, whatever the kernel says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::host::Host;
use super::house::House;
use crate::socket::Listener;

/// Accepts for as long as it is polled; no error ends it.
pub(super) async fn accept<H: Host>(mut door: impl Listener, house: Arc<House<H>>) {
    let mut trouble = Trouble::default();
    loop {
        house.room().await;
        match door.accept().await {
            Ok(line) => {
                if trouble.over() {
                    tracing::info!("accepting connections again");
                }
                house.admit(line);
            }
            Err(error) => match trouble.met(&error) {
                Cure::Again => {}
                Cure::Pause { pause, first } => {
                    if first {
                        tracing::error!(%error, connections = house.count(), "cannot accept connections");
                    }
                    tokio::time::sleep(pause).await;
                }
            },
        }
    }
}

/// An episode of failing accepts.
#[derive(Debug, Default)]
struct Trouble {
    /// The last pause; zero outside an episode.
    pause: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Cure {
    /// That one connection failed; the next is another matter.
    Again,
    /// The process or the machine is short of something. The listener stays ready meanwhile, so trying at once
    /// would spin.
    Pause { pause: Duration, first: bool },
}

impl Trouble {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    fn met(&mut self, error: &io::Error) -> Cure {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock) {
            return Cure::Again;
        }
        // EMFILE, ENFILE, ENOBUFS, ENOMEM; and what nobody foresaw, which must not end the server either.
        let first = self.pause.is_zero();
        self.pause = if first { Self::FIRST } else { (self.pause * 2).min(Self::LONGEST) };
        Cure::Pause { pause: self.pause, first }
    }

    /// A connection was accepted; says whether that ended an episode.
    fn over(&mut self) -> bool {
        !std::mem::take(&mut self.pause).is_zero()
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::*;

    #[test]
    fn a_shortage_is_waited_out_with_growing_pauses_and_told_once() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EINVAL] {
            let mut trouble = Trouble::default();
            let error = io::Error::from_raw_os_error(code);
            let mut pauses = Vec::new();
            for turn in 0..9 {
                let Cure::Pause { pause, first } = trouble.met(&error) else { panic!("{error}: no pause") };
                assert_eq!(first, turn == 0);
                pauses.push(pause.as_millis());
            }
            assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
            assert!(trouble.over());
            assert!(!trouble.over(), "told once");
            assert_eq!(trouble.met(&error), Cure::Pause { pause: Trouble::FIRST, first: true });
        }
    }

    #[test]
    fn one_failed_connection_is_no_shortage() {
        let mut trouble = Trouble::default();
        for code in [libc::ECONNABORTED, libc::EINTR] {
            assert_eq!(trouble.met(&io::Error::from_raw_os_error(code)), Cure::Again);
        }
        assert!(!trouble.over());
    }
}
