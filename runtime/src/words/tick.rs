//! A point in the server's time, in milliseconds since it started: what pure parts are given as `now`.

use std::time::Duration;

/// Milliseconds of *served* time: it stands still while the server itself is stalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tick(pub(crate) u64);

impl Tick {
    /// Later than everything: a deadline that never comes.
    pub(crate) const NEVER: Tick = Tick(u64::MAX);

    pub(crate) const fn plus(self, span: Duration) -> Tick {
        Tick(self.0.saturating_add(millis(span)))
    }

    pub(crate) const fn minus(self, span: Duration) -> Tick {
        Tick(self.0.saturating_sub(millis(span)))
    }

    /// How long before `self` the `earlier` tick was; zero if it was not before.
    pub(crate) const fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Since when something has lasted, if it does: eight bytes in every hold, where an option of a tick has sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since(Tick);

impl Since {
    /// It does not.
    pub(crate) const NEVER: Since = Since(Tick::NEVER);

    pub(crate) fn tick(self) -> Option<Tick> {
        (self != Since::NEVER).then_some(self.0)
    }

    /// When it began, and it is over.
    pub(crate) fn take(&mut self) -> Option<Tick> {
        std::mem::replace(self, Since::NEVER).tick()
    }
}

impl From<Tick> for Since {
    fn from(begin: Tick) -> Self {
        Since(begin)
    }
}

const fn millis(span: Duration) -> u64 {
    let millis = span.as_millis();
    if millis > u64::MAX as u128 { u64::MAX } else { millis as u64 }
}
