//! Captures the log of a test's own thread, a line for each event.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// Captures the log until it is dropped. For tests on a runtime of one thread.
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Log {
    /// Captures the log from here on.
    pub fn listen() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let guard = tracing::subscriber::set_default(LineSubscriber(Some(lines.clone())));
        Log { lines, _guard: guard }
    }

    /// The lines so far that contain all of these words: `DEBUG why="origin" refused: ..`.
    pub fn lines(&self, words: &[&str]) -> Vec<String> {
        let fits = |line: &&String| words.iter().all(|word| line.contains(word));
        self.lines.lock().iter().filter(fits).cloned().collect()
    }
}

/// Writes the log of the whole process to standard error.
///
/// # Panics
/// When there is a subscriber already.
pub fn to_stderr() {
    tracing::subscriber::set_global_default(LineSubscriber(None)).expect("the first subscriber");
}

/// Collects lines, or writes them to standard error.
struct LineSubscriber(Option<Arc<Mutex<Vec<String>>>>);

impl Subscriber for LineSubscriber {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("abeyance")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        match &self.0 {
            Some(lines) => lines.lock().push(line.0),
            None => {
                let _ = writeln!(std::io::stderr(), "{}", line.0);
            }
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        written.expect("a string takes everything");
    }
}
