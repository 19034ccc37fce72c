//! The keeper without a network: peers that follow a script, and time that stands still until a test moves it.

mod admission;
mod budget;
mod clocks;
mod dropping;
mod ends;
mod fake_peer_io;
mod history;
mod replay;
mod schedule;
mod sending;
mod stress;
mod topics;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Keeper;
use super::Plan;
use super::admission::{Admission, Refused};
use super::hold::{Hold, NewHold};
use super::hold_config::HoldConfig;
use crate::settings::ServerConfig;
use abeyance_core::mechanisms::limits::{EndpointLimits, Peer};
use abeyance_core::mechanisms::wire::WireForm;
use abeyance_settings::endpoint::EndpointOptions;

use fake_peer_io::{Answers, FakePeerIo};

const SSE: WireForm = WireForm::Sse { chunked: false };

/// No clock at all.
const STILL: EndpointOptions =
    EndpointOptions { max_idle: Some(None), heartbeat: Some(None), ..EndpointOptions::NONE };

/// A keeper and its endpoints.
struct TestServer {
    keeper: Arc<Keeper>,
    configs: Vec<Arc<HoldConfig>>,
}

/// A hold and its peer.
#[derive(Clone, Debug)]
struct TestHold {
    hold: Arc<Hold>,
    peer_io: Arc<FakePeerIo>,
}

/// The only function that makes a keeper.
fn keeper(server_config: ServerConfig, plans: Vec<Plan>) -> Arc<Keeper> {
    let keeper = Keeper::new();
    keeper.configure(server_config, plans);
    keeper
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn address(last: u8) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, last), 4000).into()
}

/// Polls once, with a waker that does nothing.
fn poll_once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

impl TestServer {
    fn new(server_config: ServerConfig, endpoints: &[EndpointOptions]) -> Self {
        let plan = |settings: &EndpointOptions| Plan {
            path: "/endpoint",
            ceiling: EndpointLimits {
                holds: settings.max_suspended,
                per_peer: settings.max_per_peer,
                per_key: settings.max_per_key,
            },
            when_full: settings.when_full.unwrap_or(server_config.when_full),
        };
        let keeper = keeper(server_config.clone(), endpoints.iter().map(plan).collect());
        let config = |(settings, endpoint): (&EndpointOptions, u32)| {
            Arc::new(HoldConfig { keeper: keeper.clone(), endpoint, endpoint_config: settings.resolve() })
        };
        let configs = endpoints.iter().zip(0..).map(config).collect();
        TestServer { keeper, configs }
    }

    /// One endpoint, no limits.
    fn of(settings: EndpointOptions) -> Self {
        TestServer::new(ServerConfig::default(), &[settings])
    }

    fn admit(&self, endpoint: u32, peer: u8) -> Result<Admission, Refused> {
        self.keeper.admit(endpoint, Peer::from(IpAddr::from([10, 0, 0, peer])))
    }

    /// A hold that is still opening.
    fn seat(
        &self,
        admission: Admission,
        endpoint: u32,
        form: WireForm,
        key: Option<&str>,
    ) -> Result<TestHold, Refused> {
        let peer_io = Arc::new(FakePeerIo::new());
        let new_hold = NewHold { form, peer: address(1), path: "/".into(), peer_io: peer_io.clone() };
        let config = self.configs[endpoint as usize].clone();
        let hold = admission.suspend(key.map(Arc::from), |id, now| Hold::begin(id, now, config, new_hold))?;
        Ok(TestHold { hold, peer_io })
    }

    /// An open hold at the first endpoint.
    fn suspend(&self, form: WireForm) -> TestHold {
        let test_hold = self.seat(self.admit(0, 1).unwrap(), 0, form, None).unwrap();
        test_hold.hold.open(Vec::new());
        test_hold
    }
}

impl Keeper {
    /// Nothing is held or ending, and nothing is kept of what was.
    fn is_empty(&self) -> bool {
        let registry = self.registry.lock();
        let counts = registry.ledger.counts();
        counts.held == 0
            && counts.ending == 0
            && registry.ledger.is_empty()
            && registry.limits.is_untouched()
            && registry.deadlines.is_empty()
            && self.topics.is_empty()
            && self.budget.waiting() == 0
            && self.schedule.is_empty()
            && self.archive().is_none_or(|archive| archive.follows_nothing())
    }
}

impl TestHold {
    /// The word of the end that has begun, if any.
    fn cause(&self) -> Option<&'static str> {
        self.hold.end_request().map(|end_request| end_request.end.as_str())
    }

    /// The end that comes, when it comes.
    async fn end(&self) -> &'static str {
        std::future::poll_fn(|cx| self.hold.poll_end_requested(cx)).await;
        self.cause().expect("an end request")
    }

    fn flush(&self) -> Poll<std::io::Result<()>> {
        poll_once(|cx| self.hold.poll_flush(cx))
    }
}
