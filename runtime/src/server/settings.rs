//! The settings of a server, as code writes them: one method each.

use std::time::Duration;

use super::builder::Server;
use super::server_options::{field, network, origin};
use abeyance_core::words::allowed_origins::OriginCheck;
use abeyance_core::words::retention::Retention;
use abeyance_settings::endpoint::WhenFull;

/// Limits, deadlines and whom it trusts.
impl Server {
    /// Where `#[abeyance::main]` listens, as `host:port`; `127.0.0.1:8080` unless set.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.0.options.listen = Some(address.into());
        self
    }

    /// How many holds there may be at once; the descriptor limit less 64 unless set.
    #[must_use]
    pub fn max_suspended(mut self, holds: usize) -> Self {
        self.0.options.max_suspended = Some(holds);
        self
    }

    /// How many holds one peer address may have at once; no limit unless set.
    #[must_use]
    pub fn max_per_peer(mut self, holds: usize) -> Self {
        self.0.options.max_per_peer = Some(holds);
        self
    }

    /// How many holds may have one [key](crate::Suspend::key) at once, over all endpoints: five connections a user. No limit
    /// unless set; a hold without a key is not counted. `max_per_key` of a function applies as well, to its own holds.
    ///
    /// It is checked after the function, which names the key. One more is refused with `429` and `Retry-After`; or, where
    /// [`when_full`](Server::when_full) is `resume_oldest`, for both functions, it takes the place of the key's oldest hold.
    ///
    /// ```
    /// use abeyance::{Server, WhenFull};
    ///
    /// let server = Server::new().max_per_key(5).when_full(WhenFull::ResumeOldest);
    /// ```
    #[must_use]
    pub fn max_per_key(mut self, holds: usize) -> Self {
        self.0.options.max_per_key = Some(holds);
        self
    }

    /// How many connections there may be, held or not; the limit of file descriptors less 32 unless set, and at most that.
    /// Say less if the application needs more than 32 descriptors: files, sockets of a database.
    ///
    /// One more takes the place of the connection that has waited longest for its own peer. A connection waits for its own
    /// peer if it has not sent a whole head, rests between two requests, does not send the body that is being read, or
    /// does not take its answer; 16 KiB of a body or an answer make it the youngest again. If no connection waits, the
    /// newcomer is refused with `503` and `Retry-After`.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.0.options.max_connections = Some(connections);
        self
    }

    /// How many requests may be read or answered at once; 16,384 unless set, and at most
    /// [`max_connections`](Server::max_connections).
    ///
    /// Each has an HTTP parser with its buffers, about 20 KiB: 320 MiB for all unless set. Held connections have none, nor
    /// have those that rest or have sent nothing, nor the WebSockets of a fallback; an event stream of a fallback has one
    /// as long as it lasts. One more makes room as a connection above the bound does: of those with a parser the one leaves
    /// that has waited longest for its own peer, and if none waits, the newcomer gets `503` and `Retry-After` at once. One
    /// address may have as many as [`max_unheld_per_peer`](Server::max_unheld_per_peer), and a quarter of all (16 at
    /// least) unless that is set.
    #[must_use]
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.0.options.max_requests = Some(requests);
        self
    }

    /// How many bytes the head of a request may have; 16 KiB unless set, and at least 8 KiB. A longer one is answered with
    /// `431`, as is one of more than 100 fields.
    #[must_use]
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.0.options.max_head = Some(bytes);
        self
    }

    /// How many functions of one endpoint may run at once although there is no place yet, with
    /// [`WhenFull::ResumeOldest`]; 64 unless set, and at most the endpoint's `max_suspended`. More requests are refused
    /// with `503` before their function runs.
    #[must_use]
    pub fn max_admitting(mut self, functions: usize) -> Self {
        self.0.options.max_admitting = Some(functions);
        self
    }

    /// How many connections one peer address may have that hold nothing: those that have not sent a request yet, rest
    /// between two, are being answered, or are WebSockets of a fallback. Unless set, a quarter of
    /// [`max_connections`](Server::max_connections) (16 at least), and no bound for the loopback addresses.
    ///
    /// One more takes the place of that address's own connection which has waited longest for its peer; if none waits, it
    /// is refused with `429` and `Retry-After`. Held connections do not count: for them there is
    /// [`max_per_peer`](Server::max_per_peer). Nor do [`trusted_proxies`](Server::trusted_proxies): name a proxy there, or
    /// all its clients share this bound.
    #[must_use]
    pub fn max_unheld_per_peer(mut self, connections: usize) -> Self {
        self.0.options.max_unheld_per_peer = Some(connections);
        self
    }

    /// How many new connections a second one peer address may open, that many at once included; no limit unless set.
    /// More are refused with `429` and `Retry-After`, except for [`trusted_proxies`](Server::trusted_proxies).
    #[must_use]
    pub fn max_connects_per_peer(mut self, connections: usize) -> Self {
        self.0.options.max_connects_per_peer = Some(connections);
        self
    }

    /// What happens to a newcomer when `max_suspended` is reached; it is rejected unless set.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.0.options.when_full = Some(when_full);
        self
    }

    /// How long a shutdown may take; 10 s unless set.
    ///
    /// The ends of all holds are spread over it evenly, in an order that is drawn, so that whoever takes the clients over
    /// does not get them together; the last begin [`close_timeout`](Server::close_timeout), or a quarter of the drain, before
    /// it is over. Few holds do not wait so long: one in 20 ms ends at least. Until its turn comes a hold is held as
    /// before. Each client is told when to come back: in a second to five, or as many seconds later as the ends
    /// are spread over if these are more.
    #[must_use]
    pub fn drain(mut self, window: Duration) -> Self {
        self.0.options.drain = Some(window);
        self
    }

    /// How long the head of a request may take to arrive, and how long a body may stop arriving; 10 s unless set. A body that
    /// comes slower than 512 bytes a second uses this up as if it had stopped.
    #[must_use]
    pub fn head_timeout(mut self, deadline: Duration) -> Self {
        self.0.options.head_timeout = Some(deadline);
        self
    }

    /// How long an annotated function may take; 10 s unless set.
    #[must_use]
    pub fn function_timeout(mut self, deadline: Duration) -> Self {
        self.0.options.function_timeout = Some(deadline);
        self
    }

    /// How long a hook may take; 30 s unless set.
    #[must_use]
    pub fn hook_timeout(mut self, deadline: Duration) -> Self {
        self.0.options.hook_timeout = Some(deadline);
        self
    }

    /// How long a peer may take nothing of what is being written to it; 10 s unless set. One that takes less than 512 bytes a
    /// second uses this up as if it took nothing.
    #[must_use]
    pub fn write_timeout(mut self, deadline: Duration) -> Self {
        self.0.options.write_timeout = Some(deadline);
        self
    }

    /// How long an ending may take on the wire; 5 s unless set.
    #[must_use]
    pub fn close_timeout(mut self, deadline: Duration) -> Self {
        self.0.options.close_timeout = Some(deadline);
        self
    }

    /// How long a connection may rest between two requests; 75 s unless set.
    ///
    /// Keep it longer than a proxy in front keeps its connections (most: 60 s). Otherwise the proxy sends a request while
    /// the server closes, and the request is lost.
    #[must_use]
    pub fn keep_alive(mut self, idle: Duration) -> Self {
        self.0.options.keep_alive = Some(idle);
        self
    }

    /// How many bytes may wait for all peers together; 256 MiB unless set, and at least 32 KiB.
    ///
    /// When it is exceeded, whoever has the largest send buffer pays first, by its own `when_slow`: it is disconnected as
    /// [`Slow`](crate::Disconnect::Slow), or loses messages that were published; and so on until an eighth is free. What
    /// was sent to one peer alone is not dropped: if all else does not suffice, that peer is disconnected as well. A long poll is
    /// not cut: it is answered with what it has.
    ///
    /// Counted is what the kernel has not taken, and for each message what having it wait costs beside its bytes. A
    /// message that waits for many peers counts for each of them, although they share its bytes. The kernel's share
    /// counts in each peer's `send_buffer` only. Bodies that arrive for holds (`POST`s with a token) count too, and may have a
    /// quarter of it, one alone half; beyond that the largest is refused with `429`. [`Stats::waiting`](crate::Stats::waiting) shows it.
    #[must_use]
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.0.options.max_buffered = Some(bytes);
        self
    }

    /// Has a topic keep a bounded part of its past, for clients that come back: the topic of this name, or with a `*` at
    /// the end every topic whose name begins so. No topic keeps anything unless this is said of it. What clients see of it
    /// is told under [Coming back](crate#coming-back).
    ///
    /// ```
    /// use abeyance::{Retention, Server};
    ///
    /// let server = Server::new()
    ///     .topic("news", Retention::default())
    ///     .topic("rooms/*", Retention::new().count(20));
    /// ```
    ///
    /// Of several patterns that fit a topic the most specific counts: its name, then the longest prefix. A pattern with a
    /// `*` elsewhere, a pattern that is given twice, and a [`Retention`] that would keep nothing or keep it for more than a
    /// year are faults, told at start. The environment has no variable for it.
    #[must_use]
    pub fn topic(mut self, pattern: impl AsRef<str>, keep: Retention) -> Self {
        let pattern = pattern.as_ref();
        if let Err(fault) = self.0.options.keep(pattern, keep) {
            self.0.faults.push(format!("`Server::topic({pattern:?}, ..)`: {fault}"));
        }
        self
    }

    /// How many bytes all topics together may keep of their past; 64 MiB unless set. When it is reached, the oldest
    /// messages go, of whatever topic.
    ///
    /// A 64th of it more is for topics that nobody follows and of which nothing is left: of each it is known how far it
    /// had come, for about 128 bytes, until so many others were forgotten after it (8,192 by default). A client that was
    /// away for longer may be told to load anew though it missed nothing.
    #[must_use]
    pub fn max_retained(mut self, bytes: usize) -> Self {
        self.0.options.max_retained = Some(bytes);
        self
    }

    /// How many publications may be scheduled at once; 65,536 unless set. More are refused with
    /// [`ScheduleError::TooMany`](crate::ScheduleError::TooMany). With 0 nothing is scheduled.
    #[must_use]
    pub fn max_scheduled(mut self, publications: usize) -> Self {
        self.0.options.max_scheduled = Some(publications);
        self
    }

    /// How many ends [`Hub::last_ends`](crate::Hub::last_ends) remembers; 10,000 unless set, at most a million. Each takes
    /// 88 B, and the memory for all of them is taken when the first hold ends. With 0 none is remembered.
    #[must_use]
    pub fn last_ends(mut self, ends: usize) -> Self {
        self.0.options.last_ends = Some(ends);
        self
    }

    /// How many topics one hold may have joined at once; 128 unless set.
    #[must_use]
    pub fn max_topics(mut self, topics: usize) -> Self {
        self.0.options.max_topics = Some(topics);
        self
    }

    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Host` are believed: addresses or networks (`10.0.0.0/8`).
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: impl IntoIterator<Item: AsRef<str>>) -> Self {
        let read = proxies.into_iter().map(|proxy| network(proxy.as_ref()));
        match read.collect() {
            Ok(networks) => self.0.options.trusted_proxies = Some(networks),
            Err(fault) => self.0.faults.push(format!("`Server::trusted_proxies`: {fault}")),
        }
        self
    }

    /// Origins whose pages may connect although they are not the server's own; none unless set.
    ///
    /// An origin is written as browsers send it: `https://example.com`, `capacitor://localhost`,
    /// `chrome-extension://<id>`, or `null` for pages that have none (sandboxed frames, files). `*` allows all others
    /// too, but without what a browser adds of its own accord: the function does not see the `Cookie` of such a request,
    /// and not the `Authorization` of such a WebSocket. Origins that a name cannot tell are
    /// [`allow_origins_if`](Server::allow_origins_if)'s.
    ///
    /// These pages get the CORS headers with which they can hold a connection here and speak for it. A request that
    /// goes to the [`fallback`](Server::fallback) is judged by the fallback alone.
    ///
    /// ```
    /// let server = abeyance::Server::new().allowed_origins(["https://example.com", "capacitor://localhost"]);
    /// ```
    #[must_use]
    pub fn allowed_origins(mut self, origins: impl IntoIterator<Item: AsRef<str>>) -> Self {
        let read = origins.into_iter().map(|text| origin(text.as_ref()));
        match read.collect() {
            Ok(origins) => self.0.options.allowed_origins = Some(origins),
            Err(fault) => self.0.faults.push(format!("`Server::allowed_origins`: {fault}")),
        }
        self
    }

    /// Lets the pages of an origin connect if `judge` says so, beside those of
    /// [`allowed_origins`](Server::allowed_origins). It is called for requests that bring an `Origin` which is not the
    /// server's own, with that text as it came, and must be quick. If it panics the request is answered with `500`.
    ///
    /// ```
    /// let server = abeyance::Server::new().allow_origins_if(|origin| {
    ///     origin.strip_prefix("https://").is_some_and(|host| host.ends_with(".example.com"))
    /// });
    /// ```
    #[must_use]
    pub fn allow_origins_if(mut self, judge: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.0.options.origins_if = Some(OriginCheck::new(judge));
        self
    }

    /// Headers that pages of other origins may send, beside `Abeyance-Hold`, `Last-Event-ID`, `Content-Type`,
    /// `Cache-Control` and `Authorization`: `X-CSRF-Token`, `traceparent`. A browser asks for them before the request
    /// proper, with a preflight; those of the server's own pages need no leave.
    #[must_use]
    pub fn allowed_headers(mut self, names: impl IntoIterator<Item: AsRef<str>>) -> Self {
        let read = names.into_iter().map(|name| field(name.as_ref()));
        match read.collect() {
            Ok(names) => self.0.options.allowed_headers = Some(names),
            Err(fault) => self.0.faults.push(format!("`Server::allowed_headers`: {fault}")),
        }
        self
    }
}
