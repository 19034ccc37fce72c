//! The clocks: one sweep for all holds. It looks at those that may be due, and sets the next deadline of the others.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use abeyance_core::mechanisms::clock::{Beats, Clocks, Due, Signs};
use abeyance_core::mechanisms::wire;
use abeyance_core::sync::{foreign, lasting};
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::peer_io::PeerIo;
use abeyance_core::words::tick::Tick;
use abeyance_settings::endpoint::Transport;

use super::Keeper;
use super::hold::{Hold, drawn};
use super::time::Time;

/// The shortest time between two heartbeats. The sweep would never finish with a heartbeat that is due again at once.
const LEAST_BEAT: Duration = Time::PERIOD;

/// How soon to look again at a peer that takes nothing and would be idle otherwise.
const AGAIN: Duration = Duration::from_secs(1);

/// How coarsely kernels date answers: by their own ticks, of which the slowest come every 10 ms.
const GRAIN: Duration = Duration::from_millis(10);

impl Keeper {
    /// Sweeps until the server is gone.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        let mut period = tokio::time::interval(Time::PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !self.is_over() {
            period.tick().await;
            // No clock waits for a destructor of the application.
            foreign::aside(|| lasting::turn("the sweep", || self.sweep()));
        }
    }

    /// Looks at every hold that may be due.
    pub(crate) fn sweep(&self) {
        let (now, stall) = self.time.sweep();
        if !stall.is_zero() {
            tracing::warn!(?stall, "the server was stalled: peers get the time back");
        }
        let due: Vec<Arc<Hold>> = {
            let mut registry = self.registry.lock();
            let slots = registry.deadlines.take_due(now);
            slots.into_iter().filter_map(|slot| registry.ledger.at(slot).cloned()).collect()
        };
        let mut resting = Vec::with_capacity(due.len());
        for hold in due {
            let look = || match hold.look(now) {
                Look::Rest(at) => resting.push((hold.clone(), at)),
                Look::End(end) => {
                    self.end(&hold, end.into());
                }
                Look::Over => {}
            };
            // A panic while one hold is looked at ends that hold. The clocks of the others go on.
            if lasting::turn("the sweep", look).is_none() {
                let _ = lasting::turn("the sweep", || self.end(&hold, Disconnect::Failed.into()));
            }
        }
        let mut registry = self.registry.lock();
        for (hold, at) in &resting {
            // Not `set`: the deadline may have been hastened meanwhile, and the slot may belong to another hold by now.
            if registry.ledger.age(hold.id.slot()).is_some_and(|(id, _)| id == hold.id) {
                registry.deadlines.hasten(hold.id.slot(), *at);
            }
        }
        drop(registry);
        self.expire();
        self.schedule.tell(now);
    }

    /// Makes the sweep look at a hold by `at`, if it would look later otherwise.
    pub(crate) fn hasten(&self, hold: &Hold, at: Tick) {
        let mut registry = self.registry.lock();
        if registry.ledger.age(hold.id.slot()).is_some_and(|(id, _)| id == hold.id) {
            registry.deadlines.hasten(hold.id.slot(), at);
        }
    }
}

/// The result of a look at one hold.
enum Look {
    Rest(Tick),
    End(End),
    /// Its end has begun.
    Over,
}

impl Hold {
    fn look(&self, now: Tick) -> Look {
        let clocks = self.clocks();
        let Some(mut signs) = self.signs(&clocks, now) else { return Look::Over };
        loop {
            match clocks.judge(&signs, now) {
                Due::Rest(at) => return Look::Rest(at),
                Due::End(end) => return self.verdict(end, &clocks, &signs, now),
                Due::Beat => {
                    self.send_heartbeat(&clocks, &signs, now);
                    signs.beat = Tick(self.beat.load(Relaxed));
                    signs.next_beat = Tick(self.next_beat.load(Relaxed));
                }
            }
        }
    }

    /// The end that is due, unless it is `Idle` and the peer is there but reads nothing. Such a peer fills the buffers
    /// of its kernel, which our kernel then probes in intervals that double. No write is blocked here if nothing is
    /// left to write, and yet the peer takes nothing.
    fn verdict(&self, end: End, clocks: &Clocks, signs: &Signs, now: Tick) -> Look {
        let peer_io = self.outbox().peer_io.clone();
        match signs.answer {
            Some(answer)
                if end == Disconnect::Idle.into()
                    && signs.blocked.is_none()
                    && self.kernel_is_life(clocks)
                    && peer_io.is_some_and(|peer_io| peer_io.is_shut_out()) =>
            {
                let stalled = answer.plus(clocks.write_timeout);
                match stalled <= now {
                    true => Look::End(Disconnect::Stalled.into()),
                    // The peer may vanish meanwhile.
                    false => Look::Rest(stalled.min(now.plus(AGAIN))),
                }
            }
            _ => Look::End(end),
        }
    }

    /// Whether an answer of its kernel is a sign of life of the peer. A WebSocket peer must answer itself, since the
    /// kernel of a frozen application still acknowledges. Without a heartbeat only received bytes count.
    fn kernel_is_life(&self, clocks: &Clocks) -> bool {
        self.transport() != Transport::WebSocket && clocks.heartbeat.is_some()
    }

    fn signs(&self, clocks: &Clocks, now: Tick) -> Option<Signs> {
        let outbox = self.outbox();
        if outbox.end_request.is_some() {
            return None;
        }
        let is_life = self.kernel_is_life(clocks);
        let (blocked, unreadable_since) = (outbox.blocked.get(), outbox.unreadable_since.get());
        let peer_io = outbox.peer_io.clone().filter(|_| is_life || unreadable_since.is_some());
        drop(outbox);
        let time = self.keeper().time();
        let answer = peer_io.and_then(|peer_io| self.last_answer(&*peer_io)).map(|answer| answer.min(now));
        if is_life {
            // A kernel that does not tell when it was answered still gives up on a silent peer by itself.
            self.life.fetch_max(answer.unwrap_or(now).0, Relaxed);
        }
        Some(Signs {
            activity: time.latest(Tick(self.activity.load(Relaxed))),
            life: time.latest(Tick(self.life.load(Relaxed))),
            beat: Tick(self.beat.load(Relaxed)),
            next_beat: Tick(self.next_beat.load(Relaxed)),
            expires: self.expires,
            blocked,
            unreadable_since,
            answer,
        })
    }

    /// When the peer's kernel last answered ours, if that is known.
    pub(super) fn last_answer(&self, peer_io: &dyn PeerIo) -> Option<Tick> {
        // Rounded in favour of the peer. Otherwise an immediate answer would seem older than the probe.
        peer_io.last_answer().map(|ago| self.keeper().time().dated(ago).plus(GRAIN))
    }

    fn send_heartbeat(&self, clocks: &Clocks, signs: &Signs, now: Tick) {
        let next = clocks.heartbeat.map_or(Tick::NEVER, |every| now.plus(every.max(LEAST_BEAT)));
        self.next_beat.store(next.0, Relaxed);
        if clocks.beats == Beats::Kernel || !self.outbox().is_clear() {
            return;
        }
        if let Some(bytes) = wire::heartbeat(self.form)
            && self.write(bytes).is_ok()
            && signs.beat <= signs.life
            // A sign of life this fresh could not be told from the answer. The next heartbeat is early enough.
            && signs.life < now
        {
            // Of several unanswered heartbeats the first counts.
            self.beat.store(now.0, Relaxed);
        }
    }

    /// The first heartbeat comes at a random phase, so that holds that began together do not beat together.
    pub(super) fn draw_first_beat(&self, now: Tick) {
        let first = self.clocks().heartbeat.map_or(Tick::NEVER, |every| now.plus(drawn(every)));
        self.next_beat.store(first.0, Relaxed);
    }
}
