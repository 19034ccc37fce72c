//! A server and its peers, and a round of publishing.

use crate::Fault;
use crate::process::{CROWD, Child, SERVER};
use crate::sample::Sample;
use crate::server::Kind;
use crate::wire::{Batch, Wire};

/// A server with its peers, each in a process of its own.
pub(crate) struct Contestant {
    pub(crate) kind: Kind,
    server: Child,
    crowd: Child,
    peers: usize,
    /// The number of the next message.
    next: u64,
}

/// What is published in a round, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    /// How often all are waited for.
    pub(crate) times: usize,
    /// How many messages are published back to back, before all are waited for.
    pub(crate) burst: u64,
    /// The bytes of each text.
    pub(crate) size: usize,
}

/// What a round came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Processor time of the server for one message to one peer, in nanoseconds.
    pub(crate) processor: f64,
    /// From the first call of publish until the last peer has read the last byte, in nanoseconds.
    pub(crate) until_all: f64,
}

impl Measured {
    pub(crate) const NOTHING: Measured = Measured { processor: 0.0, until_all: 0.0 };
}

impl Contestant {
    pub(crate) fn enter(kind: Kind, wire: Wire, peers: usize) -> Result<Self, Fault> {
        let mut server = Child::start(SERVER, &[&kind.as_str(), &wire.as_str(), &peers])?;
        let addr = server.hear()?;
        let mut crowd = Child::start(CROWD, &[&kind.as_str(), &wire.as_str(), &peers, &addr])?;
        crowd.hear()?;
        Ok(Contestant { kind, server, crowd, peers, next: 0 })
    }

    /// Publishes as told. Fails unless every peer has got each message once, in order.
    pub(crate) fn round(&mut self, task: Task) -> Result<Measured, Fault> {
        let before = self.processor()?;
        let spans: Result<Vec<f64>, Fault> = (0..task.times).map(|_| self.publish(task)).collect();
        let used = self.processor()? - before;
        let deliveries = task.times * task.burst as usize * self.peers;
        Ok(Measured { processor: used / deliveries as f64, until_all: Sample::of(spans?).median })
    }

    /// Fails if any peer has got more than it was to get.
    pub(crate) fn leave(mut self) -> Result<(), Fault> {
        self.crowd.tell("rest")?;
        self.crowd.hear()?;
        Ok(())
    }

    fn publish(&mut self, task: Task) -> Result<f64, Fault> {
        let batch = Batch { first: self.next, count: task.burst, size: task.size };
        self.next += task.burst;
        self.crowd.tell(batch)?;
        self.crowd.hear()?;
        self.server.tell(batch)?;
        let published = self.server.hear()?;
        let received: f64 = self.crowd.hear()?.parse()?;
        let (began, accepted) = published.split_once(' ').ok_or("a moment and a count")?;
        let (began, accepted): (f64, usize) = (began.parse()?, accepted.parse()?);
        let wanted = batch.count as usize * self.peers;
        if accepted != wanted {
            return Err(format!("{}: {accepted} deliveries were accepted, not {wanted}", self.kind).into());
        }
        Ok(received - began)
    }

    fn processor(&mut self) -> Result<f64, Fault> {
        self.server.tell("processor")?;
        Ok(self.server.hear()?.parse()?)
    }
}
