//! A context without its type, so that what attends a hold is compiled once, not once for each context.

use super::BoxFuture;
use super::lifecycle::Lifecycle;
use crate::keeper::ended::Ended;
use crate::keeper::held::Held;
use crate::words::cause::{Disconnect, Resume};
use crate::words::message::Message;

/// The hooks of some [`Lifecycle`]. A hook that was not written allocates nothing.
///
/// Calling a hook may panic already, before its future is polled: a hook need not be an `async fn`.
pub(crate) trait Erased: Send {
    fn on_suspend<'a>(&'a mut self, held: &'a Held) -> BoxFuture<'a, ()>;
    fn on_message<'a>(&'a mut self, held: &'a Held, message: Message) -> BoxFuture<'a, ()>;
    fn on_resume<'a>(self: Box<Self>, ended: &'a Ended, cause: Resume) -> BoxFuture<'a, ()>;
    fn on_disconnect<'a>(self: Box<Self>, ended: &'a Ended, cause: Disconnect) -> BoxFuture<'a, ()>;
}

impl<C: Lifecycle> Erased for C {
    fn on_suspend<'a>(&'a mut self, held: &'a Held) -> BoxFuture<'a, ()> {
        Box::pin(Lifecycle::on_suspend(self, held))
    }

    fn on_message<'a>(&'a mut self, held: &'a Held, message: Message) -> BoxFuture<'a, ()> {
        Box::pin(Lifecycle::on_message(self, held, message))
    }

    fn on_resume<'a>(self: Box<Self>, ended: &'a Ended, cause: Resume) -> BoxFuture<'a, ()> {
        Box::pin(Lifecycle::on_resume(*self, ended, cause))
    }

    fn on_disconnect<'a>(self: Box<Self>, ended: &'a Ended, cause: Disconnect) -> BoxFuture<'a, ()> {
        Box::pin(Lifecycle::on_disconnect(*self, ended, cause))
    }
}
