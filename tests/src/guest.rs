//! A context that writes down each call of its hooks, and does what the test says.

use std::collections::HashMap;
use std::sync::Arc;

use abeyance::{BoxError, Disconnect, End, Ended, Held, HoldId, Lifecycle, Message, Resume};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What a hook does besides being written down.
pub type Act<T> = Arc<dyn Fn(Held, T) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// What an end hook does besides being written down.
pub type LastAct = Arc<dyn Fn(Ended, End) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// What the hooks do.
#[derive(Clone, Default)]
pub struct Script {
    /// In `on_suspend`.
    pub on_suspend: Option<Act<()>>,
    /// In `on_message`.
    pub on_message: Option<Act<Message>>,
    /// In either end hook.
    pub on_end: Option<LastAct>,
}

/// The end of one hold as its end hook was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// The cause.
    pub end: End,
    /// The snapshot.
    pub ended: Ended,
    /// When the hook was called.
    pub at: Instant,
}

/// Everything that hooks were called with.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    // Handles are never let go of: they must keep no socket open.
    begun: Vec<Held>,
    heard: Vec<(HoldId, Message)>,
    told: Vec<Told>,
}

impl Record {
    /// The handles of all holds, in the order of their `on_suspend`.
    pub fn begun(&self) -> Vec<Held> {
        self.0.lock().begun.clone()
    }

    /// The handle of the newest hold.
    pub fn newest(&self) -> Held {
        self.0.lock().begun.last().expect("a hold").clone()
    }

    /// All messages that came, in order, as text.
    pub fn heard(&self) -> Vec<String> {
        let text =
            |(_, message): &(HoldId, Message)| String::from_utf8_lossy(message.as_bytes()).into_owned();
        self.0.lock().heard.iter().map(text).collect()
    }

    /// All ends, in the order of their hooks.
    pub fn told(&self) -> Vec<Told> {
        self.0.lock().told.clone()
    }

    /// The causes of all ends, in the order of their hooks.
    pub fn ends(&self) -> Vec<End> {
        self.0.lock().told.iter().map(|told| told.end.clone()).collect()
    }

    /// Fails if an end hook ran twice for one hold.
    pub fn assert_once(&self) {
        let mut calls = HashMap::new();
        for told in &self.0.lock().told {
            let count = calls.entry(told.ended.id()).or_insert(0);
            *count += 1;
            assert_eq!(*count, 1, "the end hook of {:?} ran again: {:?}", told.ended.id(), told.end);
        }
    }
}

/// The context.
pub struct Guest {
    record: Record,
    script: Script,
}

impl Guest {
    /// A guest that writes into this record.
    pub fn new(record: Record, script: Script) -> Self {
        Guest { record, script }
    }

    async fn end(self, ended: &Ended, end: End) -> Result<(), BoxError> {
        let told = Told { end: end.clone(), ended: ended.clone(), at: Instant::now() };
        self.record.0.lock().told.push(told);
        match &self.script.on_end {
            Some(act) => act(ended.clone(), end).await,
            None => Ok(()),
        }
    }
}

impl Lifecycle<Result<(), BoxError>> for Guest {
    async fn on_suspend(&mut self, held: &Held) -> Result<(), BoxError> {
        self.record.0.lock().begun.push(held.clone());
        match &self.script.on_suspend {
            Some(act) => act(held.clone(), ()).await,
            None => Ok(()),
        }
    }

    async fn on_message(&mut self, held: &Held, message: Message) -> Result<(), BoxError> {
        self.record.0.lock().heard.push((held.id(), message.clone()));
        match &self.script.on_message {
            Some(act) => act(held.clone(), message).await,
            None => Ok(()),
        }
    }

    async fn on_resume(self, ended: &Ended, cause: Resume) -> Result<(), BoxError> {
        self.end(ended, cause.into()).await
    }

    async fn on_disconnect(self, ended: &Ended, cause: Disconnect) -> Result<(), BoxError> {
        self.end(ended, cause.into()).await
    }
}
