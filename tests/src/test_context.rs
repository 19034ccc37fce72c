//! A context that records each call of its hooks, and then does what the test says.

use std::collections::HashMap;
use std::sync::Arc;

use abeyance::{BoxError, Disconnect, End, Ended, Held, HoldId, Lifecycle, Message, Resume};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What `on_suspend` or `on_message` does after its call is recorded.
pub type Hook<T> = Arc<dyn Fn(Held, T) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// What an end hook does after its call is recorded.
pub type EndHook = Arc<dyn Fn(Ended, End) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// What the hooks do.
#[derive(Clone, Default)]
pub struct Script {
    /// In `on_suspend`.
    pub on_suspend: Option<Hook<()>>,
    /// In `on_message`.
    pub on_message: Option<Hook<Message>>,
    /// In either end hook.
    pub on_end: Option<EndHook>,
}

/// One call of an end hook.
#[derive(Clone, Debug)]
pub struct EndCall {
    /// The cause.
    pub end: End,
    /// The snapshot.
    pub ended: Ended,
    /// When the hook was called.
    pub at: Instant,
}

/// All calls of the hooks of one server. (`net::HookRecorder` is the same for tests that block.)
#[derive(Clone, Default)]
pub struct HookLog(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    // The handles are kept to the end of the test: a handle must keep no socket open.
    holds: Vec<Held>,
    messages: Vec<(HoldId, Message)>,
    ends: Vec<EndCall>,
}

impl HookLog {
    /// The handles of all holds, in the order of their `on_suspend`.
    pub fn holds(&self) -> Vec<Held> {
        self.0.lock().holds.clone()
    }

    /// The handle of the newest hold.
    pub fn newest(&self) -> Held {
        self.0.lock().holds.last().expect("a hold").clone()
    }

    /// All messages that `on_message` was given, in order, as text.
    pub fn messages(&self) -> Vec<String> {
        let text =
            |(_, message): &(HoldId, Message)| String::from_utf8_lossy(message.as_bytes()).into_owned();
        self.0.lock().messages.iter().map(text).collect()
    }

    /// All calls of end hooks, in order.
    pub fn ends(&self) -> Vec<EndCall> {
        self.0.lock().ends.clone()
    }

    /// The causes that end hooks were called with, in order.
    pub fn causes(&self) -> Vec<End> {
        self.0.lock().ends.iter().map(|call| call.end.clone()).collect()
    }

    /// Fails if an end hook ran twice for one hold.
    pub fn assert_no_end_twice(&self) {
        let mut counts = HashMap::new();
        for call in &self.0.lock().ends {
            let count = counts.entry(call.ended.id()).or_insert(0);
            *count += 1;
            assert_eq!(*count, 1, "the end hook of {:?} ran again: {:?}", call.ended.id(), call.end);
        }
    }
}

/// The context of every hold of a [`TestServer`](crate::test_server::TestServer).
pub struct TestContext {
    hooks: HookLog,
    script: Script,
}

impl TestContext {
    /// A context that records its calls in `hooks`.
    pub fn new(hooks: HookLog, script: Script) -> Self {
        TestContext { hooks, script }
    }

    async fn end(self, ended: &Ended, end: End) -> Result<(), BoxError> {
        let call = EndCall { end: end.clone(), ended: ended.clone(), at: Instant::now() };
        self.hooks.0.lock().ends.push(call);
        match &self.script.on_end {
            Some(hook) => hook(ended.clone(), end).await,
            None => Ok(()),
        }
    }
}

impl Lifecycle<Result<(), BoxError>> for TestContext {
    async fn on_suspend(&mut self, held: &Held) -> Result<(), BoxError> {
        self.hooks.0.lock().holds.push(held.clone());
        match &self.script.on_suspend {
            Some(hook) => hook(held.clone(), ()).await,
            None => Ok(()),
        }
    }

    async fn on_message(&mut self, held: &Held, message: Message) -> Result<(), BoxError> {
        self.hooks.0.lock().messages.push((held.id(), message.clone()));
        match &self.script.on_message {
            Some(hook) => hook(held.clone(), message).await,
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
