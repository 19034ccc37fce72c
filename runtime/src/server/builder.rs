//! A server that is being set up.

use std::any::type_name;
use std::fmt;
use std::net::SocketAddr;

use axum_core::body::Body;
use axum_core::response::IntoResponse;
use http::Request;
use tokio::net::{TcpListener, ToSocketAddrs};
use tower_service::Service;

use super::handle::ServerHandle;
use super::setup::{Setup, environment};
use super::start::StartError;
use crate::dispatch::connect_info::ConnectInfo;
use crate::dispatch::fallback::Fallback;
use crate::endpoint::BoxError;
use crate::endpoint::outcome::Outcome;
use crate::endpoint::record::{Endpoint, Mountable};
use crate::keeper::hub::Hub;
use crate::settings::ServerOptions;
use crate::socket::memory::{Dialer, MemoryAcceptor};
use crate::socket::tcp;

/// A server that is being set up.
///
/// Every setting but [`topic`](Server::topic) is overridden by the environment (`ABEYANCE_DRAIN=30s`,
/// `ABEYANCE_ENTER_MAX_IDLE=1m` for the function `enter`), except for [`bind_memory`](Server::bind_memory), which reads
/// none.
#[derive(Default)]
pub struct Server(pub(super) Setup);

impl Server {
    /// A server with nothing mounted.
    pub fn new() -> Self {
        Server::default()
    }

    /// Gives functions a value, which they take as [`State<T>`](crate::extract::State). Of two values of one type the
    /// last counts.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.0.plan.states = self.0.plan.states.with(value);
        self
    }

    /// Mounts a `#[suspend]` function at its path; at each of its paths if it has several. A function that is not annotated
    /// is a fault, told at start.
    #[must_use]
    pub fn mount<M, F: Mountable<M>>(mut self, function: F) -> Self {
        // Its type is all that counts; it tells the function from every other.
        let _ = function;
        let found = Endpoint::of::<F>();
        if found.is_empty() {
            let name = type_name::<F>();
            self.0.faults.push(format!("`mount({name})`: that is no `#[suspend]` function by its own name"));
        }
        self.0.add(found);
        self
    }

    /// Mounts every `#[suspend]` function of the program, as `#[abeyance::main]` does.
    ///
    /// Functions of a crate that nothing names are not linked: `use that_crate as _;` cures it.
    #[must_use]
    pub fn mount_all(mut self) -> Self {
        self.0.add(Endpoint::all());
        self
    }

    /// Answers what no annotated function takes: an axum `Router`, or another tower service.
    ///
    /// The paths of annotated functions come first, also where the router has a more specific route: `/rooms/{room}` of
    /// a function hides `/rooms/new` of the router. At such a path every other method
    /// than `GET` and `HEAD` goes to the fallback, but for a `POST` or `DELETE` with the token of a hold, and for the
    /// preflights of what goes to the function. Of what goes to the fallback no origin is judged: its own CORS layer does
    /// that.
    #[must_use]
    pub fn fallback<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response: IntoResponse, Error: Into<BoxError>, Future: Send + 'static>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.0.plan.fallback = Some(Fallback::new(service));
        self
    }

    /// Tells handlers the address of the peer, in the form that they take: axum's `ConnectInfo`, of whichever version of
    /// axum. It is there in the fallback's handlers, and in annotated functions.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use abeyance::Server;
    /// use axum::Router;
    /// use axum::extract::ConnectInfo;
    /// use axum::routing::get;
    ///
    /// async fn who(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    ///     format!("you are {peer}")
    /// }
    ///
    /// let app = Router::new().route("/who", get(who));
    /// let server = Server::new().fallback(app).connect_info(ConnectInfo::<SocketAddr>);
    /// ```
    ///
    /// `make` is called for each request, and its value stands in the request's extensions under its type. The address is
    /// that of the connection: behind a proxy, the proxy's. [`ClientIp`](crate::extract::ClientIp), which needs nothing of
    /// this and is an extractor in both places, knows [`trusted_proxies`](Server::trusted_proxies).
    ///
    /// If `make` panics, the request is answered with `500`.
    #[must_use]
    pub fn connect_info<T: Clone + Send + Sync + 'static>(
        mut self,
        make: impl Fn(SocketAddr) -> T + Send + Sync + 'static,
    ) -> Self {
        self.0.plan.introduction = Some(ConnectInfo::new(make));
        self
    }

    /// Does something when the server has stopped: all holds have ended, and their end hooks have returned. The place to
    /// write down what end hooks have gathered, to close a pool, or to say that this process is gone.
    ///
    /// ```
    /// use abeyance::{BoxError, Server};
    ///
    /// async fn sign_off() -> Result<(), BoxError> {
    ///     std::fs::write("/run/chat/stopped", "")?;
    ///     Ok(())
    /// }
    ///
    /// let server = Server::new().after_drain(sign_off);
    /// ```
    ///
    /// It runs once, with `#[abeyance::main]` and with [`ServerHandle::shutdown`](crate::ServerHandle::shutdown) alike, whether the
    /// drain was enough or not; not where the server is dropped without it, or did not start. Several run in the order in
    /// which they were given. Together they have [`hook_timeout`](Server::hook_timeout), and in a hurry (a second signal)
    /// one second. Then what still runs is dropped at its next await.
    ///
    /// A panic, an error and an overrun are logged and told by
    /// [`DrainReport::after_drain_failed`](crate::DrainReport::after_drain_failed); a process with `#[abeyance::main]` then ends with 1,
    /// unless a second signal says otherwise.
    #[must_use]
    pub fn after_drain<F, O>(mut self, clean_up: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = O> + Send + 'static,
        O: Outcome,
    {
        self.0.cleanup.add(clean_up);
        self
    }

    /// The application's view of all holds, before there are any: to give to an axum router, or to a task.
    pub fn hub(&self) -> Hub {
        self.0.plan.hub.clone()
    }

    /// Starts the server on this address. `listen` and `ABEYANCE_LISTEN` are for `#[abeyance::main]`, and have no effect here:
    /// where one is set, that is a warning in the log.
    ///
    /// Keep what it returns: dropping it cuts every connection.
    ///
    /// # Errors
    /// Everything that is wrong with the setup, at once; or the address cannot be listened on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn bind(self, address: impl ToSocketAddrs) -> Result<ServerHandle, StartError> {
        self.0.warn_of_listen("bind");
        let ready = self.0.check(environment())?;
        let listener = tcp::listen(address).await.map_err(StartError::listen)?;
        let running = ready.listen(listener)?;
        running.log();
        Ok(running)
    }

    /// Starts the server on a socket that listens already: one that was bound with options of your own, in another
    /// network namespace, or that a service manager handed over.
    ///
    /// Keep what it returns: dropping it cuts every connection.
    ///
    /// ```no_run
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:8080")?;
    /// let server = abeyance::Server::new().mount_all().serve(listener)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with the setup, at once; or the socket cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve(self, listener: std::net::TcpListener) -> Result<ServerHandle, StartError> {
        self.0.warn_of_listen("serve");
        let running = self.take_over(listener)?;
        running.log();
        Ok(running)
    }

    fn take_over(self, listener: std::net::TcpListener) -> Result<ServerHandle, StartError> {
        let ready = self.0.check(environment())?;
        // One that blocks would stop a whole thread of the runtime.
        listener.set_nonblocking(true).map_err(StartError::listen)?;
        ready.listen(TcpListener::from_std(listener).map_err(StartError::listen)?)
    }

    /// Starts the server in memory: for tests with paused time. Reads nothing from the environment.
    ///
    /// # Errors
    /// Everything that is wrong with the setup, at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind_memory(self) -> Result<(ServerHandle, Dialer), StartError> {
        let ready = self.0.check([])?;
        let (listener, dialer) = MemoryAcceptor::new();
        Ok((ready.start(listener), dialer))
    }

    /// Starts the server on the socket that was handed over, or else where its settings say; `attribute` stands behind
    /// what the code and the environment say. Logs nothing of it: `#[abeyance::main]` tells it in its own way.
    pub(super) async fn start(
        mut self,
        attribute: ServerOptions,
        handed: Option<std::net::TcpListener>,
    ) -> Result<ServerHandle, StartError> {
        self.0.options = self.0.options.or(attribute);
        if let Some(listener) = handed {
            return self.take_over(listener);
        }
        let ready = self.0.check(environment())?;
        let listen = ready.server_config().listen.clone();
        let listener = tcp::listen(&listen).await.map_err(|error| StartError::listen_on(&listen, error))?;
        ready.listen(listener)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.0.endpoints.iter().map(|endpoint| endpoint.path).collect();
        f.debug_struct("Server")
            .field("paths", &endpoints)
            .field("settings", &self.0.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use abeyance_core::words::retention::Retention;

    fn fault(server: Server, variables: &[(&str, &str)]) -> String {
        let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        server.0.check(variables).map(|_| ()).expect_err("a start error").to_string()
    }

    #[test]
    fn threads_can_share_a_server() {
        fn shared<T: Send + Sync>() {}
        shared::<Server>();
        shared::<ServerHandle>();
    }

    #[test]
    fn what_is_not_annotated_cannot_be_mounted() {
        async fn plain() -> crate::Suspend {
            crate::Suspend::new()
        }
        let fault = fault(Server::new().mount(plain), &[]);
        assert!(fault.contains("plain") && fault.contains("no `#[suspend]` function"), "{fault}");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let server = Server::new()
            .max_suspended(0)
            .head_timeout(Duration::ZERO)
            .trusted_proxies(["proxy"])
            .allowed_origins(["https://*.example"]);
        let fault = fault(server, &[("ABEYANCE_DRAIN", "soon")]);
        assert_eq!(fault.lines().count(), 5, "{fault}");
        for hint in [
            "`Server::max_suspended`: expected a count such as 1000, found 0",
            "head_timeout",
            "\"proxy\"",
            "\"https://*.example\"",
            "ABEYANCE_DRAIN=\"soon\"",
        ] {
            assert!(fault.contains(hint), "{hint} is not in: {fault}");
        }
    }

    #[test]
    fn what_topics_keep_goes_to_the_policy_as_it_was_given() {
        let few = Retention::new().count(20);
        let server = Server::new().topic("rooms/*", Retention::default()).topic(String::from("news"), few);
        let ready = server.0.check([]).map_err(|error| error.to_string()).unwrap();
        let kept = ready.server_config().topics.iter().map(|rule| (rule.pattern.to_string(), rule.keep));
        let given = [("rooms/*".to_owned(), Retention::default()), ("news".to_owned(), few)];
        assert_eq!(kept.collect::<Vec<_>>(), given);
    }

    #[test]
    fn faults_of_topics_are_told_with_the_pattern() {
        let server = Server::new()
            .topic("rooms*red", Retention::default())
            .topic("", Retention::default())
            .topic("news", Retention::new().count(0))
            .topic("news", Retention::default())
            .topic("news*", Retention::default())
            .topic("news*", Retention::new().age(Duration::ZERO));
        let expected = "expected the name of a topic, or a prefix such as \"rooms/*\", found";
        let told = [
            &*format!(
                "`Server::topic(\"rooms*red\", ..)`: {expected} \"rooms*red\": a `*` stands at the end only"
            ),
            &format!("`Server::topic(\"\", ..)`: {expected} \"\""),
            "`Server::topic(\"news\", ..)`: `count` 0 keeps nothing",
            "`Server::topic(\"news\", ..)`: this pattern is given twice",
            "`Server::topic(\"news*\", ..)`: this pattern is given twice",
        ];
        assert_eq!(fault(server, &[]).lines().collect::<Vec<_>>(), told);
    }

    #[test]
    fn the_environment_overrides_the_code_and_the_code_the_attribute() {
        let server =
            Server::new().drain(Duration::from_secs(2)).max_per_peer(2).max_buffered(1 << 20).max_topics(2);
        let attribute = ServerOptions {
            max_per_peer: Some(1),
            drain: Some(Duration::from_secs(1)),
            max_suspended: Some(1),
            ..ServerOptions::default()
        };
        let mut setup = server.0;
        setup.options = setup.options.or(attribute);
        let variables = [("ABEYANCE_DRAIN", "3s"), ("ABEYANCE_MAX_BUFFERED", "2MiB")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let ready = setup.check(variables).map_err(|e| e.to_string()).unwrap();
        let server_config = ready.server_config();
        assert_eq!(
            (server_config.drain.as_secs(), server_config.max_per_peer, server_config.max_suspended),
            (3, Some(2), 1)
        );
        assert_eq!(
            (server_config.max_buffered, server_config.max_retained, server_config.max_topics),
            (2 << 20, 64 << 20, 2)
        );
    }

    #[tokio::test]
    async fn a_server_serves_its_fallback_over_tcp_and_in_memory() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let router = || axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
        let running = Server::new().fallback(router()).bind("127.0.0.1:0").await.unwrap();
        let mut peer = tokio::net::TcpStream::connect(running.local_addr()).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        peer.write_all(request).await.unwrap();
        let mut said = String::new();
        peer.read_to_string(&mut said).await.unwrap();
        assert!(said.ends_with("hello"), "{said}");
        drop(peer);
        assert_eq!(running.shutdown().await.connections_cut, 0);

        let (running, dialer) = Server::new().fallback(router()).bind_memory().unwrap();
        let mut peer = dialer.connect(([10, 0, 0, 1], 1).into()).unwrap();
        peer.write_all(request).await.unwrap();
        let mut said = String::new();
        peer.read_to_string(&mut said).await.unwrap();
        assert!(said.ends_with("hello"), "{said}");
        drop((running, peer));
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_a_start_error() {
        let running = Server::new().bind("127.0.0.1:0").await.unwrap();
        let error = Server::new().bind(running.local_addr()).await.expect_err("taken");
        assert!(error.to_string().starts_with("cannot listen"), "{error}");
    }
}
