//! The one exit: whichever cause ended a hold, its ending is run here until the connection and the hooks are done with.
//!
//! When the wire is finished, the registry is settled and the connection is let go of. A hook that still runs then goes on
//! in a task of its own.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::keeper::ended::Ended;
use crate::keeper::hold::Hold;
use crate::keeper::hook_tracker::UnfinishedHooks;
use abeyance_core::request::reader::Reader;
use abeyance_core::words::cause::Disconnect;
use abeyance_core::words::escaped::Escaped;
use abeyance_settings::endpoint::Transport;

use super::After;
use super::ending::Ending;
use super::hooks::Hooks;
use super::session::{Ahead, Session, Stage};
use super::user_code::drop_quietly;

impl Session<'_> {
    /// The hold's end has begun: its driver is dropped, and what lies in the socket now is the last that is taken.
    pub(super) fn begin_ending(&mut self, cx: &mut Context<'_>) {
        drop_quietly(self.driver.take());
        if let Stage::Startup(startup) = &mut self.stage {
            let startup = mem::take(&mut **startup);
            // This only counts what will not be delivered.
            self.hold.open(startup.replies);
            drop_quietly(startup.driver);
        }
        // Nothing ends a hold but an end request: there is one.
        let end_request = self.hold.end_request().unwrap_or_else(|| Disconnect::Shutdown.into());
        let reads = self.hold.transport() == Transport::WebSocket && !end_request.is_goodbye();
        let ahead = if reads { self.look_ahead(cx) } else { Ahead::Nothing };
        let has_more = matches!(ahead, Ahead::More);
        // A publisher may have met the reset first. What stands before a goodbye was said in good order all the same.
        let said_goodbye = matches!(ahead, Ahead::Last(last) if last.is_goodbye());
        let ending = Ending::new(&self.hold, end_request, has_more, said_goodbye);
        self.stage = Stage::Ending(Box::new(ending));
    }

    /// Ready when the wire is finished.
    pub(super) fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<After> {
        let Session { hold, socket, hooks, reader, stage, counted, .. } = self;
        let Stage::Ending(ending) = stage else { return Poll::Ready(After::Close) };
        ending.poll_written(hold, &***socket, reader, cx);
        let remaining = ending.poll_remaining(hold, hooks, reader, Some(&***socket), cx);
        let waiting = reader.bytes() + ending.bytes();
        if waiting != *counted {
            *counted = waiting;
            hold.count_inbound(waiting);
        }
        if remaining.is_ready() {
            ending.report(hold, hooks);
        }
        let after = ready!(ending.poll_let_go(hold, &***socket, reader, cx));
        let Stage::Ending(ending) = mem::replace(stage, Stage::Over) else { return Poll::Ready(after) };
        if !ending.is_reported() {
            self.leave_hooks(*ending);
        }
        self.hold.keeper().settle(&self.hold);
        Poll::Ready(after)
    }

    /// The connection is let go of while a hook runs: that goes on in a task of its own.
    fn leave_hooks(&mut self, ending: Ending) {
        let mut unfinished = self.hold.keeper().leave_hooks(self.hold.peer().ip().into());
        // Not twice at any moment.
        self.hold.count_inbound(0);
        unfinished.count(self.reader.bytes() + ending.bytes());
        let hooks = mem::replace(&mut self.hooks, Hooks::Gone);
        let reader = mem::replace(&mut self.reader, Reader::Strays(0));
        let mut unfinished_hold =
            UnfinishedHold { hold: self.hold.clone(), hooks, reader, ending, unfinished };
        tokio::spawn(async move {
            poll_fn(|cx| unfinished_hold.poll(cx)).await;
        });
    }
}

/// A hold whose wire is finished and whose hooks are not.
struct UnfinishedHold {
    hold: Arc<Hold>,
    hooks: Hooks,
    reader: Reader,
    ending: Ending,
    /// Counted among the hooks that run, until the end hook is.
    unfinished: UnfinishedHooks,
}

impl UnfinishedHold {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let UnfinishedHold { hold, hooks, reader, ending, unfinished } = self;
        let remaining = ending.poll_remaining(hold, hooks, reader, None, cx);
        unfinished.count(reader.bytes() + ending.bytes());
        ready!(remaining);
        ending.report(hold, hooks);
        Poll::Ready(())
    }
}

/// The runtime is going away: the end is remembered all the same.
impl Drop for UnfinishedHold {
    fn drop(&mut self) {
        self.ending.remember(&self.hold);
        drop_quietly(mem::replace(&mut self.hooks, Hooks::Gone));
    }
}

/// A hold that is dropped before its end was concluded: the runtime is going away, or the server was dropped.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        let is_reported = match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return,
            Stage::Ending(ending) => ending.is_reported(),
            stage @ (Stage::Startup(_) | Stage::Held) => {
                drop_quietly(stage);
                false
            }
        };
        let keeper = self.hold.keeper();
        if keeper.end(&self.hold, Disconnect::Shutdown.into()) {
            tracing::warn!(hold = %self.hold.id, path = %Escaped(&self.hold.path), "a hold was cut: the server is going away");
        }
        if let (false, Some(end_request)) = (is_reported, self.hold.end_request()) {
            keeper.remember(&self.hold, &Ended::of(&self.hold, false), &end_request.end);
        }
        keeper.settle(&self.hold);
        drop_quietly(self.driver.take());
        drop_quietly(mem::replace(&mut self.hooks, Hooks::Gone));
    }
}
