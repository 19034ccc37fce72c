//! What the application does when the server has stopped and nothing of it is held any more.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use parking_lot::Mutex;

use crate::endpoint::outcome::Outcome;
use crate::endpoint::{BoxError, BoxFuture};

use super::user_code::{HookFault, caught, drop_quietly, poll_caught, settled};

type Step = Box<dyn FnOnce() -> BoxFuture<'static, Result<(), BoxError>> + Send>;

/// The steps, in order. Never locked while the server runs: the mutex is there because a running server is shared between
/// threads, and a step need not be.
#[derive(Default)]
pub(crate) struct Cleanup(Mutex<Vec<Step>>);

impl Cleanup {
    pub(crate) fn add<F, O>(&mut self, step: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        self.0.get_mut().push(Box::new(move || {
            let step = step();
            Box::pin(async move { step.await.into_result() })
        }));
    }

    /// Runs one step after the other until `limit` is ready; says whether all of them succeeded. One that fails does not
    /// keep the next from running.
    pub(crate) async fn run(self, limit: impl Future) -> bool {
        let mut limit = pin!(limit);
        let (mut is_over, mut has_failed) = (false, false);
        for step in self.0.into_inner() {
            if is_over {
                drop_quietly(step);
                continue;
            }
            let outcome = match caught(step) {
                Err(fault) => Err(fault),
                Ok(mut running) => {
                    let outcome = poll_fn(|cx| match poll_caught(&mut running, cx) {
                        Poll::Ready(outcome) => Poll::Ready(settled(outcome)),
                        Poll::Pending => limit.as_mut().poll(cx).map(|_| Err(HookFault::Cut)),
                    })
                    .await;
                    drop_quietly(running);
                    outcome
                }
            };
            if let Err(fault) = outcome {
                is_over = fault == HookFault::Cut;
                has_failed = true;
                tracing::error!(%fault, "what was to be done after the drain failed");
            }
        }
        !has_failed
    }
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cleanup({})", self.0.lock().len())
    }
}
