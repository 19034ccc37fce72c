//! A keeper, and everybody who was ever held by it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, Weak};

use crate::keeper::admission::Refused;
use crate::keeper::archive::ResumePoint;
use crate::keeper::hold::{Hold, NewHold};
use crate::keeper::hold_config::HoldConfig;
use crate::keeper::hub::Hub;
use crate::keeper::{Keeper, Plan};
use crate::model::chronicle::{Chronicle, Publication, Span};
use crate::model::guest::TestHold;
use crate::model::line::Peer;
use crate::settings::ServerConfig;
use abeyance_core::mechanisms::limits::{EndpointLimits, Peer as Address};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::retention::{Pattern, Retention, Rule};
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::{EndpointOptions, WhenFull};

pub(crate) const SSE: WireForm = WireForm::Sse { chunked: false };

/// How many may be held at once.
pub(crate) const PLACES: usize = 6;

const FLOOD: &str = "flood";

/// What all topics may keep together.
const HISTORY: usize = 16 << 10;

/// Of how many topics that were forgotten whole it is known then how far they had come.
const KNOWN: usize = 2;

/// A keeper with one endpoint and without clocks.
pub(crate) struct TestKeeper {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) chronicle: Chronicle,
    config: Arc<HoldConfig>,
    /// Not the scheduler's: see [`Chronicle`].
    held: Mutex<Vec<Weak<Hold>>>,
}

/// What a house is built from.
#[derive(Clone)]
pub(crate) struct Plans {
    pub(crate) settings: EndpointOptions,
    pub(crate) server_config: ServerConfig,
}

impl Default for Plans {
    fn default() -> Self {
        let settings =
            EndpointOptions { max_idle: Some(None), heartbeat: Some(None), ..EndpointOptions::NONE };
        Plans { settings, server_config: ServerConfig { max_suspended: PLACES, ..ServerConfig::default() } }
    }
}

impl Plans {
    /// These topics keep so much; whichever topics begin so have one rule. So has one that drives out all others.
    pub(crate) fn keeping(prefixes: &[&str], keep: Retention) -> Self {
        let rule = |prefix: &&str| Rule { pattern: Pattern::Prefix((*prefix).into()), keep };
        let topics = prefixes.iter().chain(&[FLOOD]).map(rule).collect();
        let plain = Plans::default();
        Plans {
            server_config: ServerConfig { topics, max_retained: HISTORY, ..plain.server_config },
            ..plain
        }
    }
}

impl TestKeeper {
    pub(crate) fn new(plans: Plans) -> Self {
        let Plans { settings, server_config } = plans;
        let ceiling = EndpointLimits { holds: None, per_peer: None, per_key: None };
        let when_full = settings.when_full.unwrap_or(WhenFull::Reject);
        let keeper = Keeper::new();
        keeper.configure(server_config, vec![Plan { path: "/endpoint", ceiling, when_full }]);
        let config =
            Arc::new(HoldConfig { keeper: keeper.clone(), endpoint: 0, endpoint_config: settings.resolve() });
        TestKeeper { keeper, chronicle: Chronicle::default(), config, held: Mutex::default() }
    }

    /// A hold begins and joins; it is still opening.
    pub(crate) fn arrive(
        &self,
        form: WireForm,
        topics: &[&'static str],
        resume_point: ResumePoint,
    ) -> TestHold {
        self.try_arrive(form, topics, resume_point, usize::MAX).expect("there is a place")
    }

    /// A hold begins, if there is a place, of a peer that takes `window` bytes.
    pub(crate) fn try_arrive(
        &self,
        form: WireForm,
        topics: &[&'static str],
        resume_point: ResumePoint,
        window: usize,
    ) -> Result<TestHold, Refused> {
        self.arrive_with(form, topics.iter().map(|topic| (*topic, false)), resume_point, window)
    }

    /// `true` stands with topics whose past is wanted.
    pub(crate) fn arrive_with(
        &self,
        form: WireForm,
        topics: impl IntoIterator<Item = (&'static str, bool)>,
        resume_point: ResumePoint,
        window: usize,
    ) -> Result<TestHold, Refused> {
        let topics: Vec<_> = topics.into_iter().collect();
        let named: Vec<_> = topics.iter().map(|(topic, past)| (Topic::from(*topic), *past)).collect();
        let (guest, span) = self.begin(form, &named, resume_point, window)?;
        topics.iter().for_each(|(topic, _)| guest.note_join(topic, span));
        Ok(guest)
    }

    fn begin(
        &self,
        form: WireForm,
        topics: &[(Topic, bool)],
        resume_point: ResumePoint,
        window: usize,
    ) -> Result<(TestHold, Span), Refused> {
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let admission = self.keeper.admit(0, Address::from(address))?;
        let line = Arc::new(Peer::new(window));
        let origins = NewHold { form, peer: (address, 4000).into(), path: "/".into(), socket: line.clone() };
        let config = self.config.clone();
        let hold = admission.suspend(None, |id, now| Hold::begin(id, now, config, origins))?;
        self.held.lock().expect("nobody panics with it").push(Arc::downgrade(&hold));
        let guest = TestHold::new(self.keeper.clone(), hold, line);
        let (span, ()) = self.chronicle.time(|| self.keeper.enter(&guest.hold, topics, resume_point));
        Ok((guest, span))
    }

    /// A hold that is open.
    pub(crate) fn come(&self, topics: &[&'static str]) -> TestHold {
        let guest = self.arrive(SSE, topics, ResumePoint::New);
        guest.hold.open(Vec::new());
        guest
    }

    pub(crate) fn publish(&self, topic: &'static str, text: &str) -> usize {
        let message = text.into();
        let (span, accepted) = self.chronicle.time(|| self.keeper.publish(topic, &message));
        self.chronicle.end_request(Publication { topic, text: text.to_owned(), span, accepted });
        accepted
    }

    /// Ends a hold; `false` if its end had begun.
    pub(crate) fn end(&self, guest: &TestHold, end: impl Into<End>) -> bool {
        let end: End = end.into();
        let (span, is_first) = self.chronicle.time(|| self.keeper.end(&guest.hold, end.into()));
        guest.note_end(span);
        is_first
    }

    /// Everybody is ended: nothing may be left of anybody, and every place is free again.
    pub(crate) fn close(self, guests: Vec<TestHold>) {
        self.keeper.end_all(&Disconnect::Shutdown.into());
        guests.iter().for_each(|guest| self.keeper.settle(&guest.hold));
        drop(guests);
        self.check_nobody_follows();
        let TestKeeper { keeper, config, held, .. } = self;
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
        drop(config);
        assert_eq!(Arc::strong_count(&keeper), 1, "somebody keeps the keeper");
    }

    /// A topic that keeps nothing any more is forgotten whole, unless somebody follows it; and of what was forgotten whole
    /// before as many others as are known one by one, its rule remembers that there was something.
    fn check_nobody_follows(&self) {
        let published = self.chronicle.publications();
        for number in 0..=KNOWN {
            self.keeper.publish(&format!("{FLOOD}{number}"), &"x".repeat(2 * HISTORY).into());
        }
        for Rule { pattern, .. } in &self.keeper.server_config().topics {
            let Pattern::Prefix(prefix) = pattern else { continue };
            if published.iter().any(|one| *one.topic == **prefix) {
                let other = Topic::from(format!("{prefix}, another"));
                let probe = self.begin(SSE, &[(other, false)], ResumePoint::Back(0), usize::MAX);
                // Through closed doors nobody comes to see.
                let Ok((probe, _)) = probe else { return };
                assert!(probe.hold.first_position().is_lost, "somebody follows {prefix:?}");
                self.end(&probe, Disconnect::Gone);
                self.keeper.settle(&probe.hold);
            }
        }
    }
}
