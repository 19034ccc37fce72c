//! The context of a hold, and the hook that runs on it.
//!
//! A running hook owns the context and everything else it needs. So it does not depend on the connection: the socket can be
//! closed, or serve its next request, while the hook goes on to its end. The context comes back when the hook is over,
//! also after a panic or a deadline, because the end hook needs it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::endpoint::BoxFuture;
use crate::endpoint::erased::Erased;
use crate::keeper::held::Held;
use crate::keeper::hold::Hold;
use abeyance_core::words::message::Message;

use super::user_code::{HookFault, UserCode, settled};

/// The one owner of a hold's context until the end hook gets it.
pub(super) enum Hooks {
    /// No hook runs.
    Free(Box<dyn Erased>),
    /// A hook runs, and has the context.
    Busy(BoxFuture<'static, HookRun>),
    /// A hook failed: the context is good for the end hook only.
    Spent(Box<dyn Erased>),
    /// The end hook has it.
    Gone,
}

/// What calls a hook.
pub(super) enum Call {
    Suspend,
    Message(Message),
}

/// How a hook came to its end.
pub(super) struct HookRun {
    context: Box<dyn Erased>,
    name: &'static str,
    outcome: Result<(), HookFault>,
}

impl Hooks {
    /// Starts a hook, if none runs and none has failed.
    pub(super) fn start(&mut self, hold: &Arc<Hold>, call: Call, deadline: Duration) {
        if !self.is_free() {
            return;
        }
        let Hooks::Free(mut context) = std::mem::replace(self, Hooks::Gone) else { return };
        let hold = hold.clone();
        let name = match call {
            Call::Suspend => "on_suspend",
            Call::Message(_) => "on_message",
        };
        *self = Hooks::Busy(Box::pin(async move {
            let held = Held::new(hold.clone());
            let keeper = hold.keeper();
            let start = || match call {
                Call::Suspend => context.on_suspend(&held),
                Call::Message(message) => context.on_message(&held, message),
            };
            let outcome = {
                let mut hook = UserCode::start(start, deadline, keeper.time());
                let mut cut = pin!(keeper.hooks_cut());
                poll_fn(|cx| match hook.poll(cx).map(settled) {
                    Poll::Ready(outcome) => Poll::Ready(outcome),
                    Poll::Pending => cut.as_mut().poll(cx).map(|()| Err(HookFault::Cut)),
                })
                .await
            };
            HookRun { context, name, outcome }
        }));
    }

    /// Whether a hook runs.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Hooks::Busy(_))
    }

    /// Whether another hook may be started.
    pub(super) fn is_free(&self) -> bool {
        matches!(self, Hooks::Free(_))
    }

    /// Ready when the hook that runs is over, with its name and how it failed, if it did. Ready at once if none runs.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), (&'static str, HookFault)>> {
        let Hooks::Busy(running) = self else { return Poll::Ready(Ok(())) };
        let HookRun { context, name, outcome } = ready!(running.as_mut().poll(cx));
        Poll::Ready(match outcome {
            Ok(()) => {
                *self = Hooks::Free(context);
                Ok(())
            }
            Err(fault) => {
                *self = Hooks::Spent(context);
                Err((name, fault))
            }
        })
    }

    /// The context, for the end hook; `None` while a hook runs.
    pub(super) fn take(&mut self) -> Option<Box<dyn Erased>> {
        match std::mem::replace(self, Hooks::Gone) {
            Hooks::Free(context) | Hooks::Spent(context) => Some(context),
            busy @ Hooks::Busy(_) => {
                *self = busy;
                None
            }
            Hooks::Gone => None,
        }
    }
}
