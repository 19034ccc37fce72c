//! A keeper with one endpoint, and all holds that it ever had.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, Weak};

use crate::keeper::admission::Refused;
use crate::keeper::archive::ResumePoint;
use crate::keeper::hold::{Hold, NewHold};
use crate::keeper::hold_config::HoldConfig;
use crate::keeper::hub::Hub;
use crate::keeper::{Keeper, Plan};
use crate::model::fake_peer_io::FakePeerIo;
use crate::model::operation_log::{OperationLog, Publication, Span};
use crate::model::test_hold::TestHold;
use crate::settings::ServerConfig;
use abeyance_core::mechanisms::limits::{EndpointLimits, Peer as Address};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_core::words::cause::{Disconnect, End};
use abeyance_core::words::retention::{Pattern, Retention, Rule};
use abeyance_core::words::topic::Topic;
use abeyance_settings::endpoint::{EndpointOptions, WhenFull};

pub(crate) const SSE: WireForm = WireForm::Sse { chunked: false };

/// How many may be held at once.
pub(crate) const MAX_HOLDS: usize = 6;

const FLOOD: &str = "flood";

/// What all topics may keep together.
const HISTORY: usize = 16 << 10;

/// Of how many topics that were forgotten whole it is known then how far they had come.
const KNOWN: usize = 2;

/// A keeper with one endpoint and without clocks.
pub(crate) struct TestServer {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) log: OperationLog,
    config: Arc<HoldConfig>,
    /// Not the scheduler's: see [`OperationLog`].
    held: Mutex<Vec<Weak<Hold>>>,
}

/// The configuration of a test server.
#[derive(Clone)]
pub(crate) struct TestConfig {
    pub(crate) settings: EndpointOptions,
    pub(crate) server_config: ServerConfig,
}

impl Default for TestConfig {
    fn default() -> Self {
        let settings =
            EndpointOptions { max_idle: Some(None), heartbeat: Some(None), ..EndpointOptions::NONE };
        TestConfig {
            settings,
            server_config: ServerConfig { max_suspended: MAX_HOLDS, ..ServerConfig::default() },
        }
    }
}

impl TestConfig {
    /// These topics keep so much; whichever topics begin so have one rule. So has one that drives out all others.
    pub(crate) fn keeping(prefixes: &[&str], keep: Retention) -> Self {
        let rule = |prefix: &&str| Rule { pattern: Pattern::Prefix((*prefix).into()), keep };
        let topics = prefixes.iter().chain(&[FLOOD]).map(rule).collect();
        let plain = TestConfig::default();
        TestConfig {
            server_config: ServerConfig { topics, max_retained: HISTORY, ..plain.server_config },
            ..plain
        }
    }
}

impl TestServer {
    pub(crate) fn new(config: TestConfig) -> Self {
        let TestConfig { settings, server_config } = config;
        let ceiling = EndpointLimits { holds: None, per_peer: None, per_key: None };
        let when_full = settings.when_full.unwrap_or(WhenFull::Reject);
        let keeper = Keeper::new();
        keeper.configure(server_config, vec![Plan { path: "/endpoint", ceiling, when_full }]);
        let config =
            Arc::new(HoldConfig { keeper: keeper.clone(), endpoint: 0, endpoint_config: settings.resolve() });
        TestServer { keeper, log: OperationLog::default(), config, held: Mutex::default() }
    }

    /// A hold begins and joins; it is still opening.
    pub(crate) fn begin_hold(
        &self,
        form: WireForm,
        topics: &[&'static str],
        resume_point: ResumePoint,
    ) -> TestHold {
        self.try_begin_hold(form, topics, resume_point, usize::MAX).expect("there is room")
    }

    /// A hold begins, if there is room, of a peer that takes `window` bytes.
    pub(crate) fn try_begin_hold(
        &self,
        form: WireForm,
        topics: &[&'static str],
        resume_point: ResumePoint,
        window: usize,
    ) -> Result<TestHold, Refused> {
        self.begin_hold_with(form, topics.iter().map(|topic| (*topic, false)), resume_point, window)
    }

    /// `true` stands with topics whose past is wanted.
    pub(crate) fn begin_hold_with(
        &self,
        form: WireForm,
        topics: impl IntoIterator<Item = (&'static str, bool)>,
        resume_point: ResumePoint,
        window: usize,
    ) -> Result<TestHold, Refused> {
        let topics: Vec<_> = topics.into_iter().collect();
        let named: Vec<_> = topics.iter().map(|(topic, past)| (Topic::from(*topic), *past)).collect();
        let (test_hold, span) = self.begin(form, &named, resume_point, window)?;
        topics.iter().for_each(|(topic, _)| test_hold.record_join(topic, span));
        Ok(test_hold)
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
        let peer_io = Arc::new(FakePeerIo::new(window));
        let new_hold =
            NewHold { form, peer: (address, 4000).into(), path: "/".into(), peer_io: peer_io.clone() };
        let config = self.config.clone();
        let hold = admission.suspend(None, |id, now| Hold::begin(id, now, config, new_hold))?;
        self.held.lock().expect("no thread panics with it").push(Arc::downgrade(&hold));
        let test_hold = TestHold::new(self.keeper.clone(), hold, peer_io);
        let (span, ()) = self.log.time(|| self.keeper.enter(&test_hold.hold, topics, resume_point));
        Ok((test_hold, span))
    }

    /// A hold that is open.
    pub(crate) fn open_hold(&self, topics: &[&'static str]) -> TestHold {
        let test_hold = self.begin_hold(SSE, topics, ResumePoint::New);
        test_hold.hold.open(Vec::new());
        test_hold
    }

    pub(crate) fn publish(&self, topic: &'static str, text: &str) -> usize {
        let message = text.into();
        let (span, accepted) = self.log.time(|| self.keeper.publish(topic, &message));
        self.log.record(Publication { topic, text: text.to_owned(), span, accepted });
        accepted
    }

    /// Ends a hold; `false` if its end had begun.
    pub(crate) fn end(&self, test_hold: &TestHold, end: impl Into<End>) -> bool {
        let end: End = end.into();
        let (span, is_first) = self.log.time(|| self.keeper.end(&test_hold.hold, end.into()));
        test_hold.record_end(span);
        is_first
    }

    /// Ends all holds: nothing may be left of them, and every permit is free again.
    pub(crate) fn close(self, test_holds: Vec<TestHold>) {
        self.keeper.end_all(&Disconnect::Shutdown.into());
        test_holds.iter().for_each(|test_hold| self.keeper.settle(&test_hold.hold));
        drop(test_holds);
        self.check_no_followers();
        let TestServer { keeper, config, held, .. } = self;
        let counts = keeper.counts();
        assert_eq!((counts.held, counts.ending), (0, 0));
        assert_eq!(Hub::new(keeper.clone()).stats().waiting, 0, "bytes wait, but there is no hold");
        let ever = held.into_inner().expect("no thread panics with it");
        assert_eq!(counts.suspended, ever.len() as u64);
        assert_eq!(counts.ended.iter().sum::<u64>(), ever.len() as u64, "every hold ended once");
        assert!(ever.iter().all(|hold| hold.upgrade().is_none()), "a topic keeps a hold");
        let peer = Address::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        let permits: Vec<_> = (0..MAX_HOLDS).map(|_| keeper.admit(0, peer)).collect();
        let is_free = |admission: &Result<_, Refused>| !matches!(admission, Err(Refused::Full(_)));
        assert!(permits.iter().all(is_free), "a permit was not given back");
        drop(permits);
        drop(config);
        assert_eq!(Arc::strong_count(&keeper), 1, "a handle on the keeper is left");
    }

    /// A topic that keeps nothing any more is forgotten whole, unless a hold follows it. Of what was forgotten whole
    /// before as many others as are known one by one, its rule remembers that there was something.
    fn check_no_followers(&self) {
        let published = self.log.publications();
        for number in 0..=KNOWN {
            self.keeper.publish(&format!("{FLOOD}{number}"), &"x".repeat(2 * HISTORY).into());
        }
        for Rule { pattern, .. } in &self.keeper.server_config().topics {
            let Pattern::Prefix(prefix) = pattern else { continue };
            if published.iter().any(|one| *one.topic == **prefix) {
                let other = Topic::from(format!("{prefix}, another"));
                let probe = self.begin(SSE, &[(other, false)], ResumePoint::Back(0), usize::MAX);
                // A draining server accepts no probe.
                let Ok((probe, _)) = probe else { return };
                assert!(probe.hold.first_position().is_lost, "a hold follows {prefix:?}");
                self.end(&probe, Disconnect::Gone);
                self.keeper.settle(&probe.hold);
            }
        }
    }
}
