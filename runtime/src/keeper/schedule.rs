//! The schedule: what is published later, and the notice when something is due.
//!
//! The sweep only notifies. A task of dispatch takes what is due and publishes it (`dispatch/publisher.rs`), since one
//! publication may take as long as many sweeps, and user code may make the message.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Notify;

use abeyance_core::mechanisms::timer_queue::{Due, Entry, Number, TimerQueue};
use abeyance_core::sync::foreign::Foreign;
use abeyance_core::sync::{AtomicU64, AtomicUsize, Mutex};
use abeyance_core::words::message::Message;
use abeyance_core::words::tick::Tick;
use abeyance_core::words::topic::Topic;
use abeyance_settings::amount::LONGEST;

use super::Keeper;
use super::time::Time;

/// What is published.
pub(crate) enum Job {
    /// This message.
    Message(Message),
    /// A message that the application makes each time. User code: it is neither called nor dropped under a lock.
    Maker(Maker),
}

/// Makes the next message.
pub(crate) type Maker = Foreign<Box<dyn FnMut() -> Message + Send>>;

/// When it is published.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    After(Duration),
    Every(Duration),
}

/// Why nothing was scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// So many are scheduled already, as [`Server::max_scheduled`](crate::Server::max_scheduled) allows.
    TooMany(usize),
    /// The period is shorter than 25 ms, which is how often the server looks.
    TooOften(Duration),
    /// The time is longer than a year.
    TooLong(Duration),
    /// The server stops, or has stopped.
    Stopped,
}

pub(super) struct Schedule {
    state: Mutex<State>,
    /// When the next entry is due. The sweep reads it without a lock.
    next: AtomicU64,
    /// How many entries there are. Topics that end read it without a lock.
    count: AtomicUsize,
    /// Notified when an entry is due or cancelled.
    due: Notify,
}

struct State {
    timers: TimerQueue<Job>,
    /// Entries that were cancelled with their topic. They are dropped elsewhere, because dropping a maker is user code,
    /// and a topic may end where none may run.
    cancelled: Vec<Entry<Job>>,
    is_closed: bool,
}

impl Schedule {
    pub(super) fn new() -> Self {
        let state = State { timers: TimerQueue::new(usize::MAX), cancelled: Vec::new(), is_closed: false };
        Schedule { state: Mutex::new(state), next: Tick::NEVER.0.into(), count: 0.into(), due: Notify::new() }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let outcome = act(&mut state);
        self.next.store(state.timers.next().unwrap_or(Tick::NEVER).0, Relaxed);
        self.count.store(state.timers.len(), Relaxed);
        outcome
    }

    /// Notifies the publishing task if an entry is due by `now`.
    pub(super) fn tell(&self, now: Tick) {
        if self.next.load(Relaxed) <= now.0 {
            self.due.notify_one();
        }
    }

    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.state.is_locked()
    }

    /// Nothing is scheduled, and nothing is kept of what was.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.with(|state| state.timers.len() == 0 && state.cancelled.is_empty())
    }
}

impl Keeper {
    pub(super) fn schedule(&self, when: When, topic: Topic, job: Job) -> Result<Number, ScheduleError> {
        let (span, period) = when.read()?;
        let due = self.time.mark().plus(span);
        let most = self.server_config().max_scheduled;
        let added = self.schedule.with(|state| {
            if state.is_closed {
                return Err((ScheduleError::Stopped, job));
            }
            // Entries that are cancelled and not yet dropped take memory as well.
            if state.timers.len() + state.cancelled.len() >= most {
                return Err((ScheduleError::TooMany(most), job));
            }
            state.timers.add(topic, due, period, job).map_err(|job| (ScheduleError::TooMany(most), job))
        });
        // The job is dropped here, not under the lock.
        added.map_err(|(error, _)| error)
    }

    /// Cancels an entry, and returns it to be dropped. `None` if it is over.
    pub(crate) fn cancel(&self, number: Number) -> Option<Entry<Job>> {
        self.schedule.with(|state| state.timers.cancel(number))
    }

    /// The last member of a topic has left. Its entries are cancelled now; or, if some of its history is kept, when
    /// that is [forgotten](Keeper::past_forgotten).
    ///
    /// Called with no lock held. It costs a load where nothing is scheduled.
    pub(super) fn last_left(&self, topic: &str) {
        self.cancel_those(topic, |timers, has_past| match has_past {
            true => {
                timers.leave_topic(topic);
                Vec::new()
            }
            false => timers.cancel_topic(topic),
        });
    }

    /// The last message of a topic's history is forgotten. Its entries are cancelled, except those that were scheduled
    /// after the last member left: they wait for the next member.
    ///
    /// Called with no lock held. It costs a load where nothing is scheduled.
    pub(super) fn past_forgotten(&self, topic: &str) {
        self.cancel_those(topic, |timers, has_past| match has_past {
            true => Vec::new(),
            false => timers.cancel_left(topic),
        });
    }

    /// Cancels entries of a topic without members.
    fn cancel_those(&self, topic: &str, those: impl FnOnce(&mut TimerQueue<Job>, bool) -> Vec<Entry<Job>>) {
        if self.schedule.count.load(Relaxed) == 0 {
            return;
        }
        // Under the lock of the shard: a hold may have joined meanwhile, and then the topic has not ended.
        let is_some_cancelled = self.topics.if_empty(topic, || {
            let has_past = self.archive().is_some_and(|archive| archive.remembers(topic));
            self.schedule.with(|state| {
                let entries = those(&mut state.timers, has_past);
                let is_some = !entries.is_empty();
                state.cancelled.extend(entries);
                is_some
            })
        });
        if is_some_cancelled == Some(true) {
            self.schedule.due.notify_one();
        }
    }

    /// Returns when an entry is due or was cancelled, with the tick of the sweep that found it.
    pub(crate) async fn due(&self) -> Tick {
        self.schedule.due.notified().await;
        self.time.swept()
    }

    /// The next entry that is due by `now`. One at a time, so that an entry can be cancelled while others are
    /// published.
    pub(crate) fn take_due(&self, now: Tick) -> Option<Due<Job>> {
        self.schedule.with(|state| state.timers.take_due(now))
    }

    /// Puts back the job of an entry that comes again.
    ///
    /// # Errors
    /// The job comes back if the entry was cancelled meanwhile.
    pub(crate) fn put_back(&self, number: Number, job: Job, now: Tick) -> Result<(), Job> {
        self.schedule.with(|state| state.timers.put_back(number, job, now))
    }

    /// Whether the entry is still to be published.
    pub(crate) fn is_scheduled(&self, number: Number) -> bool {
        self.schedule.state.lock().timers.is_entered(number)
    }

    /// Takes the entries that were cancelled with their topics, to be dropped.
    pub(crate) fn take_cancelled(&self) -> Vec<Entry<Job>> {
        std::mem::take(&mut self.schedule.state.lock().cancelled)
    }

    /// Cancels all entries and accepts no more. Returns them to be dropped.
    pub(crate) fn close_schedule(&self) -> Vec<Entry<Job>> {
        self.schedule.with(|state| {
            state.is_closed = true;
            let mut entries = std::mem::take(&mut state.cancelled);
            entries.extend(state.timers.close());
            entries
        })
    }

    /// How many entries are scheduled.
    pub(super) fn scheduled(&self) -> usize {
        self.schedule.count.load(Relaxed)
    }
}

impl When {
    /// The time to the first publication, and from one to the next.
    fn read(self) -> Result<(Duration, Option<Duration>), ScheduleError> {
        let (When::After(span) | When::Every(span)) = self;
        if span > LONGEST {
            return Err(ScheduleError::TooLong(span));
        }
        // Rounded up: ticks are whole milliseconds, and nothing may come early.
        let whole = Duration::from_millis(span.as_nanos().div_ceil(1_000_000) as u64);
        match self {
            When::After(_) => Ok((whole, None)),
            When::Every(_) if span < Time::PERIOD => Err(ScheduleError::TooOften(span)),
            When::Every(_) => Ok((whole, Some(whole))),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Message(message) => f.debug_tuple("Message").field(message).finish(),
            Job::Maker(_) => f.write_str("Maker"),
        }
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleError::TooMany(most) => write!(f, "{most} are scheduled already"),
            ScheduleError::TooOften(period) => write!(f, "every {period:?} is more often than every 25ms"),
            ScheduleError::TooLong(span) => write!(f, "{span:?} is longer than a year"),
            ScheduleError::Stopped => f.write_str("the server stops"),
        }
    }
}

impl std::error::Error for ScheduleError {}
