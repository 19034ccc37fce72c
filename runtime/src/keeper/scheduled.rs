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

/// Something that is to be published later. Dropping it cancels that; [`detach`](Scheduled::detach) lets it be.
///
/// It is also cancelled
///
/// - with its topic: when the last member leaves it; or later, when the last of its past is forgotten that it
///   [keeps](crate::Retention). A topic that has had no members yet is waited for; meanwhile it is published to nobody;
/// - when the server begins to stop.
///
/// What is cancelled is not published any more, unless it is just being published.
///
/// Time is the server's own, as for all clocks: it stands still before the server has started, and while the server
/// itself is stalled. Nothing is published early, and where the server is not busy, nothing 100 ms late. Of what is due
/// together the earliest comes first, then what was scheduled first.
///
/// A context that owns it takes it along when its hold ends. Schedule for a topic that the hold joins in `on_suspend` or
/// later: while the function runs, the last of the topic's members may still leave.
///
/// ```
/// use std::time::Duration;
/// use abeyance::{Held, Lifecycle, ScheduleError, Scheduled, Suspend, suspend};
///
/// #[derive(Default)]
/// struct Seat { reminder: Option<Scheduled> }
///
/// #[suspend]
/// async fn lobby() -> Suspend<Seat> {
///     Suspend::with(Seat::default()).join("lobby")
/// }
///
/// impl Lifecycle for Seat {
///     async fn on_suspend(&mut self, held: &Held) {
///         let hour = Duration::from_secs(60 * 60);
///         let text = format!("{} has been here for an hour", held.peer());
///         self.reminder = held.hub().publish_after(hour, "lobby", text).ok();
///     }
/// }
/// ```
#[must_use = "dropping it cancels what is scheduled: keep it, or `detach` it"]
pub struct Scheduled {
    /// None when it was cancelled or detached.
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
    /// // Somebody bids.
    /// closing.cancel();
    /// // This one nobody needs to cancel.
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
    /// Where periods were missed because the server was busy, it is published once for all of them. The next comes when it
    /// would have come anyway: lateness does not add up.
    ///
    /// To a topic that [keeps](crate::Retention) its past, what is published again and again within its age adds to that past:
    /// such a topic does not end by itself, so keep the handle.
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

    /// As [`publish_every`](Hub::publish_every), with a message that is made anew each time, though nobody may be there.
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

    /// How many publications are scheduled now; one that comes again and again counts as one.
    pub fn scheduled(&self) -> usize {
        self.keeper().scheduled()
    }

    fn schedule(&self, when: When, topic: Topic, job: Job) -> Result<Scheduled, ScheduleError> {
        let number = self.keeper().schedule(when, topic, job)?;
        Ok(Scheduled { keeper: Some(self.keeper().clone()), number })
    }
}

impl Scheduled {
    /// Cancels it, as dropping does; `false` if nothing was to come any more.
    pub fn cancel(mut self) -> bool {
        self.end()
    }

    /// Lets it be: it is published whoever has forgotten it, until its topic ends or the server stops.
    pub fn detach(mut self) {
        self.keeper = None;
    }

    fn end(&mut self) -> bool {
        // At once, as whatever else its owner drops: what was scheduled is dropped here.
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
