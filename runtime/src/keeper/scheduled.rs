//! The application's handle on what is published later.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use abeyance_core::mechanisms::timer_queue::Number;
use abeyance_core::sync::foreign::Foreign;
use abeyance_core::words::message::Message;
use abeyance_core::words::topic::Topic;

use super::Keeper;
use super::hub::Hub;
use super::schedule::{Job, ScheduleError, When};

/// A publication that is scheduled for later. Dropping it cancels the publication, unless it is
/// [detached](Scheduled::detach).
///
/// It is also cancelled
///
/// - with its topic: when the last member leaves it, or later, when the last message of the history that it
///   [keeps](crate::Retention) is forgotten. A topic that has had no members yet does not cancel: until it has one, the
///   message is published to no hold;
/// - when the server begins to stop.
///
/// After it is cancelled nothing is published any more, except a publication that has begun already.
///
/// Time is the server's own, as for all clocks: it stands still before the server has started, and while the server
/// itself is stalled. Nothing is published early, and where the server is not busy, nothing 100 ms late. Of what is due
/// together the earliest comes first, then what was scheduled first.
///
/// A context that owns it cancels it when the hold ends. Schedule for a topic that the hold joins in `on_suspend` or
/// later: while the function runs, the last of the topic's members may still leave.
///
/// ```
/// use std::time::Duration;
/// use abeyance::{Held, Lifecycle, ScheduleError, Scheduled, Suspend, suspend};
///
/// #[derive(Default)]
/// struct Player { reminder: Option<Scheduled> }
///
/// #[suspend]
/// async fn game() -> Suspend<Player> {
///     Suspend::with(Player::default()).join("game")
/// }
///
/// impl Lifecycle for Player {
///     async fn on_suspend(&mut self, held: &Held) {
///         let hour = Duration::from_secs(60 * 60);
///         let text = format!("{} has been here for an hour", held.peer());
///         self.reminder = held.hub().publish_after(hour, "game", text).ok();
///     }
/// }
/// ```
#[must_use = "dropping it cancels what is scheduled: keep it, or `detach` it"]
pub struct Scheduled {
    /// `None` when it was cancelled or detached.
    keeper: Option<Arc<Keeper>>,
    number: Number,
}

impl Hub {
    /// Publishes a message when `delay` has passed, as [`publish`](Hub::publish) does.
    ///
    /// `delay` is at most a year; zero is as soon as can be.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use abeyance::{Hub, ScheduleError};
    /// # fn example(hub: Hub) -> Result<(), ScheduleError> {
    /// let closing = hub.publish_after(Duration::from_secs(60), "auction/7", "sold")?;
    /// // A bid comes.
    /// closing.cancel();
    /// // This one goes on without its handle.
    /// hub.publish_after(Duration::from_secs(600), "auction/7", "closed")?.detach();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When `delay` is longer than a year, when 65,536 are scheduled already, or when the server stops.
    pub fn publish_after(
        &self,
        delay: Duration,
        topic: impl AsRef<str>,
        message: impl Into<Message>,
    ) -> Result<Scheduled, ScheduleError> {
        self.schedule(When::After(delay), Topic::from(topic.as_ref()), Job::Message(message.into()))
    }

    /// Publishes a message every `period`, as [`publish`](Hub::publish) does; for the first time when one has passed.
    ///
    /// `period` is at least 25 ms and at most a year; a part of a millisecond counts as one.
    ///
    /// Where periods were missed because the server was busy, it is published once for all of them. The next comes when
    /// it would have come anyway: lateness does not add up.
    ///
    /// To a topic that [keeps](crate::Retention) its past, what is published again and again within its age adds to
    /// that past: such a topic does not end by itself, so keep the handle.
    ///
    /// # Errors
    /// When `period` is shorter or longer than it may be, when 65,536 are scheduled already, or when the server stops.
    pub fn publish_every(
        &self,
        period: Duration,
        topic: impl AsRef<str>,
        message: impl Into<Message>,
    ) -> Result<Scheduled, ScheduleError> {
        self.schedule(When::Every(period), Topic::from(topic.as_ref()), Job::Message(message.into()))
    }

    /// As [`publish_every`](Hub::publish_every), with a message that `make` makes anew each time, also for a topic
    /// without members.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use abeyance::{Hub, ScheduleError};
    /// # fn example(hub: Hub) -> Result<(), ScheduleError> {
    /// let crowd = hub.clone();
    /// let status = move || format!("{} are here", crowd.held_count());
    /// hub.publish_every_with(Duration::from_secs(5), "status", status)?.detach();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Everything that is scheduled waits for `make`: it should be quick and must not block. When it panics, that is
    /// logged, and this schedule is cancelled, no other.
    ///
    /// # Errors
    /// As for [`publish_every`](Hub::publish_every).
    pub fn publish_every_with<F, M>(
        &self,
        period: Duration,
        topic: impl AsRef<str>,
        mut make: F,
    ) -> Result<Scheduled, ScheduleError>
    where
        F: FnMut() -> M + Send + 'static,
        M: Into<Message>,
    {
        self.schedule(
            When::Every(period),
            Topic::from(topic.as_ref()),
            Job::Maker(Foreign::new(Box::new(move || make().into()))),
        )
    }

    /// How many publications are scheduled now. A periodic one counts once.
    pub fn scheduled(&self) -> usize {
        self.keeper().scheduled()
    }

    fn schedule(&self, when: When, topic: Topic, job: Job) -> Result<Scheduled, ScheduleError> {
        let number = self.keeper().schedule(when, topic, job)?;
        Ok(Scheduled { keeper: Some(self.keeper().clone()), number })
    }
}

impl Scheduled {
    /// Cancels it, as dropping does. `false` if nothing was left to publish.
    pub fn cancel(mut self) -> bool {
        self.end()
    }

    /// Lets it go on without a handle, until its topic ends or the server stops.
    pub fn detach(mut self) {
        self.keeper = None;
    }

    fn end(&mut self) -> bool {
        // The job is dropped here, in the thread of the caller.
        self.keeper.take().is_some_and(|keeper| keeper.cancel(self.number).is_some())
    }
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Scheduled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scheduled").field(&self.number).finish()
    }
}
