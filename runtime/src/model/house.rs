//! A keeper, and everybody who was ever held by it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, Weak};

use crate::keeper::admission::Refused;
use crate::keeper::archive::Arrival;
use crate::keeper::hold::{Hold, Origins, Post};
use crate::keeper::hub::Hub;
use crate::keeper::{Keeper, Plan};
use crate::model::chronicle::{Chronicle, Publication, Span};
use crate::model::guest::Guest;
use crate::model::line::Peer;
use abeyance_core::mechanisms::limits::{Ceiling, Peer as Address};
use abeyance_core::mechanisms::wire::Form;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::keep::{Pattern, Retention, Rule};
use abeyance_core::words::policy::Policy;
use abeyance_core::words::topic::Topic;
use abeyance_settings::terms::{Settings, WhenFull};

pub(crate) const SSE: Form = Form::Sse { chunked: false };

/// How many may be held at once.
pub(crate) const PLACES: usize = 6;

const FLOOD: &str = "flood";

/// What all topics may keep together.
const HISTORY: usize = 16 << 10;

/// Of how many topics that were forgotten whole it is known then how far they had come.
const KNOWN: usize = 2;

/// A keeper with one endpoint and without clocks.
pub(crate) struct House {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) chronicle: Chronicle,
    post: Arc<Post>,
    /// Not the scheduler's: see [`Chronicle`].
    held: Mutex<Vec<Weak<Hold>>>,
}

/// What a house is built from.
#[derive(Clone)]
pub(crate) struct Plans {
    pub(crate) settings: Settings,
    pub(crate) policy: Policy,
}

impl Default for Plans {
    fn default() -> Self {
        let settings = Settings { max_idle: Some(None), heartbeat: Some(None), ..Settings::NONE };
        Plans { settings, policy: Policy { max_suspended: PLACES, ..Policy::default() } }
    }
}

impl Plans {
    /// These topics keep so much; whichever topics begin so have one rule. So has one that drives out all others.
    pub(crate) fn keeping(prefixes: &[&str], keep: Retention) -> Self {
        let rule = |prefix: &&str| Rule { pattern: Pattern::Prefix((*prefix).into()), keep };
        let topics = prefixes.iter().chain(&[FLOOD]).map(rule).collect();
        let plain = Plans::default();
        Plans { policy: Policy { topics, max_retained: HISTORY, ..plain.policy }, ..plain }
    }
}

impl House {
    pub(crate) fn new(plans: Plans) -> Self {
        let Plans { settings, policy } = plans;
        let ceiling = Ceiling { holds: None, per_peer: None, per_key: None };
        let when_full = settings.when_full.unwrap_or(WhenFull::Reject);
        let keeper = Keeper::new();
        keeper.configure(policy, vec![Plan { path: "/endpoint", ceiling, when_full }]);
        let post = Arc::new(Post { keeper: keeper.clone(), endpoint: 0, terms: settings.resolve() });
        House { keeper, chronicle: Chronicle::default(), post, held: Mutex::default() }
    }

    /// A hold begins and joins; it is still opening.
    pub(crate) fn arrive(&self, form: Form, topics: &[&'static str], arrival: Arrival) -> Guest {
        self.try_arrive(form, topics, arrival, usize::MAX).expect("there is a place")
    }

    /// A hold begins, if there is a place, of a peer that takes `window` bytes.
    pub(crate) fn try_arrive(
        &self,
        form: Form,
        topics: &[&'static str],
        arrival: Arrival,
        window: usize,
    ) -> Result<Guest, Refused> {
        self.arrive_with(form, topics.iter().map(|topic| (*topic, false)), arrival, window)
    }

    /// `true` stands with topics whose past is wanted.
    pub(crate) fn arrive_with(
        &self,
        form: Form,
        topics: impl IntoIterator<Item = (&'static str, bool)>,
        arrival: Arrival,
        window: usize,
    ) -> Result<Guest, Refused> {
        let topics: Vec<_> = topics.into_iter().collect();
        let named: Vec<_> = topics.iter().map(|(topic, past)| (Topic::from(*topic), *past)).collect();
        let (guest, span) = self.begin(form, &named, arrival, window)?;
        topics.iter().for_each(|(topic, _)| guest.note_join(topic, span));
        Ok(guest)
    }

    fn begin(
        &self,
        form: Form,
        topics: &[(Topic, bool)],
        arrival: Arrival,
        window: usize,
    ) -> Result<(Guest, Span), Refused> {
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let admission = self.keeper.admit(0, Address::from(address))?;
        let line = Arc::new(Peer::new(window));
        let origins = Origins { form, peer: (address, 4000).into(), path: "/".into(), line: line.clone() };
        let post = self.post.clone();
        let hold = admission.suspend(None, |id, now| Hold::begin(id, now, post, origins))?;
        self.held.lock().expect("nobody panics with it").push(Arc::downgrade(&hold));
        let guest = Guest::new(self.keeper.clone(), hold, line);
        let (span, ()) = self.chronicle.time(|| self.keeper.enter(&guest.hold, topics, arrival));
        Ok((guest, span))
    }

    /// A hold that is open.
    pub(crate) fn come(&self, topics: &[&'static str]) -> Guest {
        let guest = self.arrive(SSE, topics, Arrival::New);
        guest.hold.open(Vec::new());
        guest
    }

    pub(crate) fn publish(&self, topic: &'static str, text: &str) -> usize {
        let message = text.into();
        let (span, accepted) = self.chronicle.time(|| self.keeper.publish(topic, &message));
        self.chronicle.note(Publication { topic, text: text.to_owned(), span, accepted });
        accepted
    }

    /// Ends a hold; `false` if its end had begun.
    pub(crate) fn end(&self, guest: &Guest, end: impl Into<End>) -> bool {
        let end: End = end.into();
        let (span, is_first) = self.chronicle.time(|| self.keeper.end(&guest.hold, end.into()));
        guest.note_end(span);
        is_first
    }

    /// Everybody is ended: nothing may be left of anybody, and every place is free again.
    pub(crate) fn close(self, guests: Vec<Guest>) {
        self.keeper.end_all(&Disconnect::Shutdown.into());
        guests.iter().for_each(|guest| self.keeper.settle(&guest.hold));
        drop(guests);
        self.check_nobody_follows();
        let House { keeper, post, held, .. } = self;
        let counts = keeper.counts();
        assert_eq!((counts.held, counts.ending), (0, 0));
        assert_eq!(Hub::new(keeper.clone()).stats().waiting, 0, "nobody is there for whom it waits");
        let ever = held.into_inner().expect("nobody panics with it");
        assert_eq!(counts.suspended, ever.len() as u64);
        assert_eq!(counts.ended.iter().sum::<u64>(), ever.len() as u64, "every hold ended once");
        assert!(ever.iter().all(|hold| hold.upgrade().is_none()), "a topic remembers somebody");
        let peer = Address::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        let places: Vec<_> = (0..PLACES).map(|_| keeper.admit(0, peer)).collect();
        let is_free = |place: &Result<_, Refused>| !matches!(place, Err(Refused::Full(_)));
        assert!(places.iter().all(is_free), "a place was not given back");
        drop(places);
        drop(post);
        assert_eq!(Arc::strong_count(&keeper), 1, "somebody keeps the keeper");
    }

    /// A topic that keeps nothing any more is forgotten whole, unless somebody follows it; and of what was forgotten whole
    /// before as many others as are known one by one, its rule remembers that there was something.
    fn check_nobody_follows(&self) {
        let published = self.chronicle.publications();
        for number in 0..=KNOWN {
            self.keeper.publish(&format!("{FLOOD}{number}"), &"x".repeat(2 * HISTORY).into());
        }
        for Rule { pattern, .. } in &self.keeper.policy().topics {
            let Pattern::Prefix(prefix) = pattern else { continue };
            if published.iter().any(|one| *one.topic == **prefix) {
                let other = Topic::from(format!("{prefix}, another"));
                let probe = self.begin(SSE, &[(other, false)], Arrival::Back(0), usize::MAX);
                // Through closed doors nobody comes to see.
                let Ok((probe, _)) = probe else { return };
                assert!(probe.hold.first_position().is_lost, "somebody follows {prefix:?}");
                self.end(&probe, Disconnect::Gone);
                self.keeper.settle(&probe.hold);
            }
        }
    }
}
