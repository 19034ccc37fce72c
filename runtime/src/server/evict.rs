//! How a connection that is not held is asked for its slot or its parser, and how it answers.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

use super::cancellation::Cancellation;

/// How long a connection has to answer. It needs one turn of its task, unless threads are blocked.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Asks one connection for one thing, once. The connection gives it, or it stays.
#[derive(Default)]
pub(super) struct Evict {
    asked: Mutex<Asked>,
    answered: Cancellation,
    has_stayed: AtomicBool,
}

#[derive(Default)]
struct Asked {
    is_asked: bool,
    waker: Option<Waker>,
}

impl Evict {
    /// Asks the connection, and returns when it has answered: whether it gave what it was asked for. A connection that
    /// does not answer in time counts as gone.
    pub(super) async fn ask(&self) -> bool {
        let waker = {
            let mut asked = self.asked.lock();
            asked.is_asked = true;
            asked.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        timeout(ANSWERS_WITHIN, self.answered.cancelled()).await.is_err() || !self.has_stayed.load(SeqCst)
    }

    /// Whether the connection was asked.
    pub(super) fn poll_asked(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut asked = self.asked.lock();
        if asked.is_asked {
            return Poll::Ready(());
        }
        let last = asked.waker.replace(waker);
        drop(asked);
        drop(last);
        Poll::Pending
    }

    /// The connection gave what it was asked for.
    pub(super) fn give(&self) {
        self.answered.cancel();
    }

    /// The connection has its next request, and stays.
    pub(super) fn stay(&self) {
        self.has_stayed.store(true, SeqCst);
        self.answered.cancel();
    }
}

impl std::fmt::Debug for Evict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evict").finish_non_exhaustive()
    }
}
