//! The settings of a server: one table, from which the methods of `Server`, the variables of the environment, the range
//! checks, the start-up report and the reference page come. A new setting is a row here, and the place where it acts.

mod fit;
mod kinds;
#[cfg(test)]
mod tests;

use std::time::Duration;

use abeyance_core::words::allowed_origins::{AllowedOrigins, OriginCheck};
use abeyance_core::words::retention::{LEAST_HISTORY, Rule};
use abeyance_settings::endpoint::{LEAST_SEND_BUFFER, WhenFull};
use abeyance_settings::kind::{Count, CountOrZero, Size, Span, SpanOrZero};

use fit::AS_MANY_AS_FIT;
pub(crate) use fit::RESERVE;
pub(crate) use kinds::{Address, Headers, Networks, Origins};

/// Gives the table to a macro, behind what is in the braces. A row has the text for readers, the setting's name in code,
/// its variant among the keys, its kind, its default, and the default as readers see it; then its range, if the kind alone
/// does not say it. A setting without a default may have no value.
macro_rules! server_settings {
    ($($generator:ident)::+! { $($before:tt)* }) => { $($generator)::+! { $($before)*

"Listener" {
    /// Where `#[abeyance::main]` listens, as `host:port`.
    pub listen Listen: Address = String::from("127.0.0.1:8080"), "`127.0.0.1:8080`";
}

"Holds" {
    /// How many holds there may be at once.
    pub max_suspended MaxSuspended: Count = AS_MANY_AS_FIT, "the limit of open files, less 64";

    /// How many holds one peer address may have at once.
    pub max_per_peer MaxPerPeer: Count, "no limit";

    /// How many holds may have one [key](crate::Suspend::key) at once, over all endpoints: five connections a user.
    ///
    /// A hold without a key is not counted. `max_per_key` of a function applies as well, to its own holds. Both are checked
    /// after the function, which names the key. One more is refused with `429` and `Retry-After`. Where
    /// [`when_full`](crate::Server::when_full) is `resume_oldest`, for both functions, it takes the place of the key's oldest hold.
    ///
    /// ```
    /// use abeyance::{Server, WhenFull};
    ///
    /// let server = Server::new().max_per_key(5).when_full(WhenFull::ResumeOldest);
    /// ```
    pub max_per_key MaxPerKey: Count, "no limit";

    /// What happens to a newcomer when [`max_suspended`](crate::Server::max_suspended) is reached: `reject` or `resume_oldest`.
    pub when_full WhenFull: WhenFull = WhenFull::Reject, "`reject`";

    /// How many functions of one endpoint may run at once although all its places are taken, with `resume_oldest`.
    ///
    /// More requests are refused with `503` before their function runs. At most the endpoint's `max_suspended` run.
    pub max_admitting MaxAdmitting: Count = 64, "`64`";

    /// How many topics one hold may have joined at once.
    pub max_topics MaxTopics: CountOrZero = 128, "`128`", least 1, "or no topic could be joined";
}

"Connections" {
    /// How many connections there may be, held or not; at most as many as the limit of open files allows.
    ///
    /// Set it lower if the application needs more than 32 descriptors: files, sockets of a database.
    ///
    /// When all places are taken, a newcomer takes the place of the connection that has waited longest for its own peer. A
    /// connection waits for its own peer if it has not sent a whole head, rests between two requests, does not send the
    /// body that is being read, or does not take its answer; 16 KiB of a body or an answer make it the youngest again. If
    /// no connection waits, the newcomer is refused with `503` and `Retry-After`.
    pub max_connections MaxConnections: Count = AS_MANY_AS_FIT, "the limit of open files, less 32";

    /// How many connections one peer address may have that hold nothing: those that have not sent a request yet, rest
    /// between two, are being answered, or are WebSockets of a fallback.
    ///
    /// One more takes the place of that address's own connection that has waited longest for its peer. If none waits, it
    /// is refused with `429` and `Retry-After`. Held connections do not count: for them there is
    /// [`max_per_peer`](crate::Server::max_per_peer). Nor do [`trusted_proxies`](crate::Server::trusted_proxies): name a
    /// proxy there, or all its clients share this bound.
    pub max_unheld_per_peer MaxUnheldPerPeer: Count,
        "a quarter of `max_connections`, 16 at least; no limit for loopback addresses";

    /// How many new connections a second one peer address may open, and that many at once.
    ///
    /// More are refused with `429` and `Retry-After`, except for [`trusted_proxies`](crate::Server::trusted_proxies).
    pub max_connects_per_peer MaxConnectsPerPeer: Count, "no limit";

    /// How many requests may be read or answered at once; at most [`max_connections`](crate::Server::max_connections).
    ///
    /// Each has an HTTP parser with its buffers, about 20 KiB: 320 MiB for 16,384. Held connections have none, nor have
    /// those that rest or have sent nothing, nor the WebSockets of a fallback. An event stream of a fallback has one as
    /// long as it lasts. When all are taken, the connection leaves that has a parser and has waited longest for its own
    /// peer; if none waits, the newcomer gets `503` and `Retry-After` at once. One address may have as many as
    /// [`max_unheld_per_peer`](crate::Server::max_unheld_per_peer); unless that is set, a quarter of all, 16 at least.
    pub max_requests MaxRequests: Count = 16 * 1024, "`16384`, or `max_connections` if that is less";

    /// How many bytes the head of a request may have. A longer one is answered with `431`, as is one of more than 100
    /// fields.
    pub max_head MaxHead: Size = 16 << 10, "`16KiB`", least 8 << 10, "which common clients need";
}

"Timeouts" {
    /// How long the head of a request may take to arrive, and how long a body may stop arriving.
    ///
    /// It begins with the connection, or with the first byte of a later request. A body that comes slower than 512 bytes a
    /// second uses it up as if it had stopped.
    pub head_timeout HeadTimeout: Span = Duration::from_secs(10), "`10s`";

    /// How long an annotated function may take.
    pub function_timeout FunctionTimeout: Span = Duration::from_secs(10), "`10s`";

    /// How long a hook may take.
    pub hook_timeout HookTimeout: Span = Duration::from_secs(30), "`30s`";

    /// How long a peer may take nothing of what is being written to it. A peer that takes less than 512 bytes a second uses
    /// this up as if it took nothing.
    pub write_timeout WriteTimeout: Span = Duration::from_secs(10), "`10s`";

    /// How long an ending may take on the wire: writing it, and waiting for the peer's FIN.
    pub close_timeout CloseTimeout: Span = Duration::from_secs(5), "`5s`";

    /// How long a connection may rest between two requests.
    ///
    /// Keep it longer than a proxy in front keeps its connections (most: 60 s). Otherwise the proxy sends a request while
    /// the server closes, and the request is lost.
    pub keep_alive KeepAlive: Span = Duration::from_secs(75), "`1m15s`";

    /// How long a shutdown may take.
    ///
    /// The ends of all holds are spread over it evenly, in an order that is drawn, so that the server to which the clients
    /// go next does not get them together. All ends start at least
    /// [`close_timeout`](crate::Server::close_timeout), or a quarter of the drain, before it is over. With few holds the
    /// drain is shorter: at least one ends every 20 ms. Until its turn comes, a hold is held as before. Each client is told
    /// when to come back: in one to five seconds, or in as many seconds as the ends are spread over if these are more.
    ///
    /// Code may say zero: then all holds are cut at once.
    pub drain Drain: SpanOrZero = Duration::from_secs(10), "`10s`";
}

"Memory" {
    /// How many bytes may wait for all peers together, and from them: half messages, bodies, messages that no hook has heard
    /// yet.
    ///
    /// When it is exceeded, the largest send buffer pays first, by its own `when_slow`: the peer is disconnected as
    /// [`Slow`](crate::Disconnect::Slow), or loses messages that were published; and so on until an eighth is free. What
    /// was sent to one peer alone is not dropped: if all else does not suffice, that peer is disconnected as well. A long
    /// poll is not cut: it is answered with what it has.
    ///
    /// Counted is what the kernel has not taken, and for each message what its waiting costs beside its bytes. A message
    /// that waits for many peers counts for each of them, although they share its bytes. The kernel's share counts in each
    /// peer's `send_buffer` only. Bodies that arrive for holds (`POST`s with a token) may have a quarter of it, one alone
    /// half; beyond that the largest is refused with `429`. [`Stats::waiting`](crate::Stats::waiting) shows it.
    pub max_buffered MaxBuffered: Size = 256 << 20, "`256MiB`", least LEAST_SEND_BUFFER, "the least `send_buffer`";

    /// How many bytes all topics together may keep of their past. When it is reached, the oldest messages go, of whichever
    /// topic.
    ///
    /// A 64th of it more is for topics without members of which nothing is left: the server knows how far each had come,
    /// for about 128 bytes, until so many others were forgotten after it (8,192 with 64 MiB). A client that was away for
    /// longer may be told to load anew though it missed nothing.
    pub max_retained MaxRetained: Size = 64 << 20, "`64MiB`", least LEAST_HISTORY, "or no message is kept";

    /// How many publications may be scheduled at once; with 0 none.
    ///
    /// More are refused with [`ScheduleError::TooMany`](crate::ScheduleError::TooMany).
    pub max_scheduled MaxScheduled: CountOrZero = 65_536, "`65536`";

    /// How many ends [`Hub::last_ends`](crate::Hub::last_ends) remembers; with 0 none.
    ///
    /// Each takes 88 B, and the memory for all of them is taken when the first hold ends.
    pub last_ends LastEnds: CountOrZero = 10_000, "`10000`", most 1_000_000, "which take 88 MB";
}

"Trust" {
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Host` are believed: addresses or networks (`10.0.0.0/8`).
    pub trusted_proxies TrustedProxies: Networks = Vec::new(), "none";

    /// Origins whose pages may connect although they are not the server's own.
    ///
    /// An origin is written as browsers send it: `https://example.com`, `capacitor://localhost`,
    /// `chrome-extension://<id>`, or `null` for pages that have none (sandboxed frames, files). `*` allows all others
    /// too, but without what a browser adds of its own accord: the function does not see the `Cookie` of such a request,
    /// and not the `Authorization` of such a WebSocket. Origins that a name cannot tell are
    /// [`allow_origins_if`](crate::Server::allow_origins_if)'s.
    ///
    /// These pages get the CORS headers with which they can hold a connection here and speak for it. A request that
    /// goes to the [`fallback`](crate::Server::fallback) is judged by the fallback alone.
    ///
    /// ```
    /// let server = abeyance::Server::new().allowed_origins(["https://example.com", "capacitor://localhost"]);
    /// ```
    pub allowed_origins AllowedOrigins: Origins = Vec::new(), "none";

    /// Headers that pages of other origins may send, beside `Abeyance-Hold`, `Last-Event-ID`, `Content-Type`,
    /// `Cache-Control` and `Authorization`: `X-CSRF-Token`, `traceparent`.
    ///
    /// A browser asks for them before the request proper, with a preflight. The server's own pages may send any.
    pub allowed_headers AllowedHeaders: Headers = Vec::new(), "none";
}

    } };
}
pub(crate) use server_settings;

server_settings! { abeyance_settings::settings! {
    /// What was written, in code or in the environment: `None` where nothing was.
    #[derive(Clone, Debug, Default)]
    options ServerOptions;

    /// The settings that are in effect.
    #[derive(Clone, Debug)]
    config ServerConfig {
        /// Which topics keep how much of their past. In code only: it is part of what the program means.
        pub topics: Vec<Rule>,
        /// Lets further origins in. In code only.
        pub origin_check: Option<OriginCheck>,
    }

    keys ServerKey;
} }

impl Default for ServerConfig {
    fn default() -> Self {
        ServerOptions::NONE.resolve()
    }
}

impl ServerConfig {
    /// Whose pages may connect: those that are named, and those that the application lets in.
    pub(crate) fn allowed_origins(&self) -> AllowedOrigins<'_> {
        AllowedOrigins { named: &self.allowed_origins, judge: self.origin_check.as_ref() }
    }
}
