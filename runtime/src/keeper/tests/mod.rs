//! The keeper without a network: lines that follow a script, and time that stands until a test moves it.

mod admission;
mod clocks;
mod dropping;
mod ends;
mod history;
mod line;
mod memory;
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
use super::hold::{Hold, Origins, Post};
use abeyance_core::mechanisms::limits::{Ceiling, Peer};
use abeyance_core::mechanisms::wire::Form;
use abeyance_core::words::policy::Policy;
use abeyance_settings::terms::Settings;

use line::{Answers, FakeLine};

const SSE: Form = Form::Sse { chunked: false };

/// No clock at all.
const STILL: Settings = Settings { max_idle: Some(None), heartbeat: Some(None), ..Settings::NONE };

/// A keeper and its endpoints.
struct House {
    keeper: Arc<Keeper>,
    posts: Vec<Arc<Post>>,
}

/// A hold and its line.
#[derive(Clone, Debug)]
struct Guest {
    hold: Arc<Hold>,
    line: Arc<FakeLine>,
}

/// The only place that makes a keeper.
fn keeper(policy: Policy, plans: Vec<Plan>) -> Arc<Keeper> {
    let keeper = Keeper::new();
    keeper.configure(policy, plans);
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

/// Polls once, with nobody to wake.
fn poll_once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    poll(&mut Context::from_waker(Waker::noop()))
}

impl House {
    fn new(policy: Policy, endpoints: &[Settings]) -> Self {
        let plan = |settings: &Settings| Plan {
            path: "/endpoint",
            ceiling: Ceiling {
                holds: settings.max_suspended,
                per_peer: settings.max_per_peer,
                per_key: settings.max_per_key,
            },
            when_full: settings.when_full.unwrap_or(policy.when_full),
        };
        let keeper = keeper(policy.clone(), endpoints.iter().map(plan).collect());
        let post = |(settings, endpoint): (&Settings, u32)| {
            Arc::new(Post { keeper: keeper.clone(), endpoint, terms: settings.resolve() })
        };
        let posts = endpoints.iter().zip(0..).map(post).collect();
        House { keeper, posts }
    }

    /// One endpoint, no limits.
    fn of(settings: Settings) -> Self {
        House::new(Policy::default(), &[settings])
    }

    fn admit(&self, endpoint: u32, peer: u8) -> Result<Admission, Refused> {
        self.keeper.admit(endpoint, Peer::from(IpAddr::from([10, 0, 0, peer])))
    }

    /// A hold that is still opening.
    fn seat(
        &self,
        admission: Admission,
        endpoint: u32,
        form: Form,
        key: Option<&str>,
    ) -> Result<Guest, Refused> {
        let line = Arc::new(FakeLine::new());
        let origins = Origins { form, peer: address(1), path: "/".into(), line: line.clone() };
        let post = self.posts[endpoint as usize].clone();
        let hold = admission.suspend(key.map(Arc::from), |id, now| Hold::begin(id, now, post, origins))?;
        Ok(Guest { hold, line })
    }

    /// An open hold at the first endpoint.
    fn suspend(&self, form: Form) -> Guest {
        let guest = self.seat(self.admit(0, 1).unwrap(), 0, form, None).unwrap();
        guest.hold.open(Vec::new());
        guest
    }
}

impl Keeper {
    /// Nothing is held or ending, and nothing is kept of what was.
    fn is_empty(&self) -> bool {
        let books = self.books.lock();
        let counts = books.ledger.counts();
        counts.held == 0
            && counts.ending == 0
            && books.ledger.is_empty()
            && books.limits.is_untouched()
            && books.deadlines.is_empty()
            && self.topics.is_empty()
            && self.memory.waiting() == 0
            && self.schedule.is_empty()
            && self.archive().is_none_or(|archive| archive.follows_nothing())
    }
}

impl Guest {
    /// The word of the end that has begun, if any.
    fn cause(&self) -> Option<&'static str> {
        self.hold.note().map(|note| note.end.as_str())
    }

    /// The end that comes, when it comes.
    async fn end(&self) -> &'static str {
        std::future::poll_fn(|cx| self.hold.poll_noted(cx)).await;
        self.cause().expect("noted")
    }

    fn flush(&self) -> Poll<std::io::Result<()>> {
        poll_once(|cx| self.hold.poll_flush(cx))
    }
}
