//! What is logged on a test's own thread, a line for each event.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// Listens until it is dropped. For tests on a runtime of one thread.
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Log {
    /// Listens from here on.
    pub fn listen() -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let guard = tracing::subscriber::set_default(Ear(Some(lines.clone())));
        Log { lines, _guard: guard }
    }

    /// The lines so far that have all of these words: `DEBUG why="origin" refused: ..`.
    pub fn lines(&self, words: &[&str]) -> Vec<String> {
        let fits = |line: &&String| words.iter().all(|word| line.contains(word));
        self.lines.lock().iter().filter(fits).cloned().collect()
    }
}

/// Has a whole process write what is logged to standard error.
///
/// # Panics
/// When there is a subscriber already.
pub fn to_stderr() {
    tracing::subscriber::set_global_default(Ear(None)).expect("the first subscriber");
}

/// With nowhere else to write to, it writes to standard error.
struct Ear(Option<Arc<Mutex<Vec<String>>>>);

impl Subscriber for Ear {
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
