//! A point in the server's time, in milliseconds since it started: what pure parts are given as `now`.

use std::time::Duration;

/// Milliseconds of *served* time: it stands still while the server itself is stalled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tick(pub u64);

impl Tick {
    /// Later than everything: a deadline that never comes.
    pub const NEVER: Tick = Tick(u64::MAX);

    pub const fn plus(self, span: Duration) -> Tick {
        Tick(self.0.saturating_add(millis(span)))
    }

    /// How long before `self` the `earlier` tick was; zero if it was not before.
    pub const fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

const fn millis(span: Duration) -> u64 {
    let millis = span.as_millis();
    if millis > u64::MAX as u128 { u64::MAX } else { millis as u64 }
}

/// Since when something lasts, or that it does not. An `Option<Tick>` would have twice the size.
#[derive(Clone, Copy, Debug)]
pub struct Since(Tick);

impl Since {
    pub const NOT: Since = Since(Tick::NEVER);

    /// It lasts since `tick`, unless it lasts already.
    pub fn begin(&mut self, tick: Tick) {
        self.0 = self.0.min(tick);
    }

    /// It lasts, if it does, since `span` later, but not since later than `now`.
    pub fn give_back(&mut self, span: Duration, now: Tick) {
        if let Some(since) = self.get() {
            self.0 = since.plus(span).min(now);
        }
    }

    pub fn get(self) -> Option<Tick> {
        (self.0 != Tick::NEVER).then_some(self.0)
    }

    /// It lasts no longer; says since when it did.
    pub fn end(&mut self) -> Option<Tick> {
        std::mem::replace(self, Since::NOT).get()
    }
}
