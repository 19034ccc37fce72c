//! The application: records what each hook did, in order, and whether it was dropped before it was done.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use abeyance::extract::{Path, State};
use abeyance::{End, Ended, Held, Lifecycle, Message, Server, Suspend, suspend};
use abeyance_tests::net::eventually;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

/// What the hooks of all contexts did, by the names in their paths.
#[derive(Clone, Default)]
pub(crate) struct HookLog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<HashMap<String, Vec<String>>>,
    present: AtomicI64,
    fewest: AtomicI64,
    /// What `on_message` and `on_suspend` wait for; without gates they wait a few milliseconds.
    gates: Option<Gates>,
}

/// Each permit lets one hook go on.
pub(crate) struct Gates {
    pub(crate) suspend: Semaphore,
    pub(crate) message: Semaphore,
}

impl HookLog {
    /// Hooks wait at gates.
    pub(crate) fn gated() -> Self {
        let gates = Gates { suspend: Semaphore::new(0), message: Semaphore::new(0) };
        HookLog(Arc::new(Shared { gates: Some(gates), ..Shared::default() }))
    }

    pub(crate) fn gates(&self) -> &Gates {
        self.0.gates.as_ref().expect("made with gates")
    }

    pub(crate) fn of(&self, name: &str) -> Vec<String> {
        self.0.lines.lock().get(name).cloned().unwrap_or_default()
    }

    /// Waits for this line.
    #[track_caller]
    pub(crate) fn wait(&self, name: &str, line: &str) {
        eventually(&format!("{name}: {line}"), || self.of(name).iter().any(|known| known == line));
    }

    /// Waits for the end, and returns all lines.
    #[track_caller]
    pub(crate) fn whole(&self, name: &str) -> Vec<String> {
        eventually(&format!("the end of {name}"), || {
            self.of(name).iter().any(|line| line.starts_with("end "))
        });
        self.of(name)
    }

    /// How many are present by the application's own count, and the fewest that ever were.
    pub(crate) fn presence(&self) -> (i64, i64) {
        (self.0.present.load(SeqCst), self.0.fewest.load(SeqCst))
    }

    pub(crate) fn write(&self, name: &str, line: String) {
        self.0.lines.lock().entry(name.to_owned()).or_default().push(line);
    }

    async fn pass(&self, gate: impl FnOnce(&Gates) -> &Semaphore) {
        match &self.0.gates {
            Some(gates) => gate(gates).acquire().await.expect("never closed").forget(),
            None => tokio::time::sleep(Duration::from_millis(3)).await,
        }
    }
}

/// The lines of a context whose `on_message` handled so many messages.
pub(crate) fn all_handled(count: usize, end: &str) -> Vec<String> {
    let mut lines = vec!["suspend".to_owned(), "suspended".to_owned()];
    for number in 0..count {
        lines.extend([format!("begin {number}"), format!("done {number}")]);
    }
    lines.push(format!("end {end}, 0 unheard"));
    lines
}

pub(crate) struct Context {
    name: String,
    hooks: HookLog,
}

/// Records if a hook is dropped before it is done.
struct Interrupted<'a>(&'a Context, &'a str, bool);

impl Drop for Interrupted<'_> {
    fn drop(&mut self) {
        if !self.2 {
            self.0.hooks.write(&self.0.name, format!("DROPPED in {}", self.1));
        }
    }
}

impl Lifecycle for Context {
    async fn on_suspend(&mut self, _: &Held) {
        self.hooks.write(&self.name, "suspend".to_owned());
        let mut interrupted = Interrupted(self, "on_suspend", false);
        self.hooks.pass(|gates| &gates.suspend).await;
        interrupted.2 = true;
        self.hooks.0.present.fetch_add(1, SeqCst);
        self.hooks.write(&self.name, "suspended".to_owned());
    }

    async fn on_message(&mut self, _: &Held, message: Message) {
        let text = message.as_text().unwrap_or("?").to_owned();
        self.hooks.write(&self.name, format!("begin {text}"));
        let mut interrupted = Interrupted(self, &text, false);
        self.hooks.pass(|gates| &gates.message).await;
        interrupted.2 = true;
        self.hooks.write(&self.name, format!("done {text}"));
    }

    async fn on_end(self, ended: &Ended, end: End) {
        let left = self.hooks.0.present.fetch_sub(1, SeqCst) - 1;
        self.hooks.0.fewest.fetch_min(left, SeqCst);
        self.hooks.write(&self.name, format!("end {}, {} unheard", end.as_str(), ended.unheard()));
    }
}

#[suspend(path = "/hold/{name}", timeout = "1h", max_idle = "2h", heartbeat = "none")]
async fn hold(Path(name): Path<String>, State(hooks): State<HookLog>) -> Suspend<Context> {
    Suspend::with(Context { name, hooks })
}

#[suspend(path = "/brief/{name}", timeout = "200ms", max_idle = "2h", heartbeat = "none")]
async fn brief(Path(name): Path<String>, State(hooks): State<HookLog>) -> Suspend<Context> {
    Suspend::with(Context { name, hooks })
}

#[suspend(path = "/aged/{name}", max_lifetime = "200ms", max_idle = "2h", heartbeat = "none")]
async fn aged(Path(name): Path<String>, State(hooks): State<HookLog>) -> Suspend<Context> {
    Suspend::with(Context { name, hooks })
}

#[suspend(
    path = "/evicting/{name}",
    timeout = "1h",
    max_idle = "2h",
    heartbeat = "none",
    max_suspended = 1,
    when_full = "resume_oldest"
)]
async fn evicting(Path(name): Path<String>, State(hooks): State<HookLog>) -> Suspend<Context> {
    Suspend::with(Context { name, hooks })
}

pub(crate) fn server(hooks: &HookLog) -> Server {
    Server::new().state(hooks.clone()).mount(hold).mount(brief).mount(aged).mount(evicting)
}
