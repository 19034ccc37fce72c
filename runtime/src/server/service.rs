//! What the server asks of the layer below: answer a request, or attend a hold.
//!
//! A trait, so that the tests of taking a socket back need no handlers, no clocks and no ledger.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum_core::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::dispatch::{Admitted, After, Dispatch, Reply, Time};
use crate::settings::ServerConfig;
use crate::socket::Socket;
use abeyance_core::words::refusal_reason::RefusalReason;

/// Answers requests, and ends holds.
pub(super) trait Service: Send + Sync + 'static {
    type PendingHold: PendingHold;

    fn server_config(&self) -> &ServerConfig;

    /// Served time, in which all deadlines are.
    fn time(&self) -> &Time;

    /// Answers a request, or decides that it is held. Dropped when the peer leaves before that.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Response<Body>, Self::PendingHold>> + Send;

    /// How many holds there are.
    fn held(&self) -> usize;

    /// How many ends have begun and are not finished.
    fn ending(&self) -> usize;

    /// How many end hooks run.
    fn hooks(&self) -> usize;

    /// Counts and logs a refusal before there was a request.
    fn deny(&self, why: RefusalReason, peer: SocketAddr);

    /// Counts a connection that is turned away before it has asked for anything.
    fn count_turned_away(&self);

    /// Ends all holds in good order; returns when the last has ended and its end hook has returned.
    fn drain(&self) -> impl Future<Output = ()> + Send;

    /// Returns when the last hold has ended, for any cause, and its end hook has returned.
    fn quiet(&self) -> impl Future<Output = ()> + Send;

    /// Ends what is still held, and cuts what was ending.
    fn stop(&self);

    /// Cuts what is still held, what is ending, and hooks that run; says whether end hooks are still to come.
    fn cut(&self) -> bool;
}

/// A request that is to be held. The server attends every one that it got, even if the connection is lost.
pub(super) trait PendingHold: Send + 'static {
    /// Writes the head, holds, ends; returns when the last byte is written and the end hook ran.
    fn attend(self, socket: &Arc<dyn Socket>, unread: Bytes) -> impl Future<Output = After> + Send;
}

impl Service for Dispatch {
    type PendingHold = Box<Admitted>;

    fn server_config(&self) -> &ServerConfig {
        self.server_config()
    }

    fn time(&self) -> &Time {
        self.time()
    }

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Box<Admitted>> {
        match Dispatch::handle(self, request, peer).await {
            Reply::Answer(response) => Ok(response),
            Reply::Hold(admitted) => Err(admitted),
        }
    }

    fn held(&self) -> usize {
        self.held()
    }

    fn ending(&self) -> usize {
        self.ending()
    }

    fn hooks(&self) -> usize {
        self.hooks()
    }

    fn deny(&self, why: RefusalReason, peer: SocketAddr) {
        Dispatch::deny(self, why, peer);
    }

    fn count_turned_away(&self) {
        Dispatch::count_turned_away(self);
    }

    async fn drain(&self) {
        Dispatch::drain(self).await;
    }

    async fn quiet(&self) {
        Dispatch::quiet(self).await;
    }

    fn stop(&self) {
        Dispatch::stop(self);
    }

    fn cut(&self) -> bool {
        Dispatch::cut(self)
    }
}

impl PendingHold for Box<Admitted> {
    fn attend(self, socket: &Arc<dyn Socket>, unread: Bytes) -> impl Future<Output = After> + Send {
        Admitted::attend(self, socket, unread)
    }
}
