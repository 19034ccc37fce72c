//! A server in memory with one endpoint, `/hold`, whose function and hooks do what the test says.

use std::collections::HashMap;
use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use abeyance::extract::{Query, State};
use abeyance::memory::Dialer;
use abeyance::{
    BoxError, DrainReport, End, Ended, Held, Hub, Message, Refusal, Server, ServerHandle, Suspend, Transport,
    suspend,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

use crate::client::{Client, HttpWire, Wire};
use crate::reader::{Answer, Head, Reader};
use crate::test_context::{EndCall, HookLog, Script, TestContext};

/// The query of a request, by name.
pub type QueryParams = HashMap<String, String>;

type Shape = Arc<dyn Fn(Suspend<TestContext>) -> Suspend<TestContext> + Send + Sync>;
type Function = Arc<dyn Fn(QueryParams) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// What the endpoint does: a `State` of its function.
#[derive(Clone)]
pub struct TestEndpoint {
    hooks: HookLog,
    script: Script,
    shape: Shape,
    function: Function,
}

/// Sets up a [`TestServer`].
pub struct TestServerBuilder {
    endpoint: TestEndpoint,
    server: Server,
}

/// A server in memory.
pub struct TestServer {
    /// The calls of its hooks.
    pub hooks: HookLog,
    /// The server's own view.
    pub hub: Hub,
    /// Opens connections.
    pub dialer: Dialer,
    running: ServerHandle,
    port: AtomicU16,
}

/// A request for a hold, before it is sent.
pub struct Request<'a> {
    server: &'a TestServer,
    transport: Transport,
    path: String,
    query: String,
    version: &'static str,
    fields: Vec<(String, String)>,
    from: SocketAddr,
}

#[suspend(path = "/hold")]
async fn hold(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    endpoint.hold(asked).await
}

impl TestEndpoint {
    /// The calls of its hooks.
    pub fn hooks(&self) -> HookLog {
        self.hooks.clone()
    }

    /// A context that records its calls and does what the test says, for functions that build a `Suspend` of their own.
    pub fn context(&self) -> TestContext {
        TestContext::new(self.hooks.clone(), self.script.clone())
    }

    /// What every endpoint of a test does: runs the test's function, and holds as the test says.
    pub async fn hold(self, asked: QueryParams) -> Result<Suspend<TestContext>, Refusal> {
        let key = asked.get("key").cloned();
        (self.function)(asked).await?;
        let mut suspend = Suspend::with(TestContext::new(self.hooks, self.script));
        if let Some(key) = key {
            suspend = suspend.key(key);
        }
        Ok((self.shape)(suspend))
    }
}

impl Default for TestEndpoint {
    fn default() -> Self {
        TestEndpoint {
            hooks: HookLog::default(),
            script: Script::default(),
            shape: Arc::new(|suspend| suspend),
            function: Arc::new(|_| Box::pin(ready(Ok(())))),
        }
    }
}

/// Sets up a server whose function and hooks do nothing.
pub fn test_server() -> TestServerBuilder {
    TestServerBuilder { endpoint: TestEndpoint::default(), server: Server::new() }
}

impl TestServerBuilder {
    /// Sets the clocks, topics and replies of each hold.
    pub fn hold(
        mut self,
        shape: impl Fn(Suspend<TestContext>) -> Suspend<TestContext> + Send + Sync + 'static,
    ) -> Self {
        self.endpoint.shape = Arc::new(shape);
        self
    }

    /// What the function does before it returns `Ok`.
    pub fn function<F>(mut self, function: impl Fn(QueryParams) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.endpoint.function = Arc::new(move |asked| Box::pin(function(asked)));
        self
    }

    /// What `on_suspend` does.
    pub fn on_suspend<F>(self, act: impl Fn(Held) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.try_on_suspend(move |held| act(held).map(Ok))
    }

    /// What `on_suspend` does, where it may fail.
    pub fn try_on_suspend<F>(mut self, act: impl Fn(Held) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.endpoint.script.on_suspend = Some(Arc::new(move |held, ()| Box::pin(act(held))));
        self
    }

    /// What `on_message` does.
    pub fn on_message<F>(self, act: impl Fn(Held, Message) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.try_on_message(move |held, message| act(held, message).map(Ok))
    }

    /// What `on_message` does, where it may fail.
    pub fn try_on_message<F>(mut self, act: impl Fn(Held, Message) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.endpoint.script.on_message = Some(Arc::new(move |held, message| Box::pin(act(held, message))));
        self
    }

    /// What the end hooks do.
    pub fn on_end<F>(self, act: impl Fn(Ended, End) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.try_on_end(move |ended, end| act(ended, end).map(Ok))
    }

    /// What the end hooks do, where it may fail.
    pub fn try_on_end<F>(mut self, act: impl Fn(Ended, End) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.endpoint.script.on_end = Some(Arc::new(move |ended, end| Box::pin(act(ended, end))));
        self
    }

    /// Sets up the server.
    pub fn server(mut self, set_up: impl FnOnce(Server) -> Server) -> Self {
        self.server = set_up(self.server);
        self
    }

    /// Starts the server.
    pub fn start(self) -> TestServer {
        let hooks = self.endpoint.hooks.clone();
        let (running, dialer) = self
            .server
            .state(self.endpoint)
            .mount(hold)
            .bind_memory()
            .unwrap_or_else(|error| panic!("{error}"));
        TestServer { hooks, hub: running.hub(), dialer, running, port: AtomicU16::new(1) }
    }
}

impl TestServer {
    /// A request for `/hold`, from a port of its own.
    pub fn request(&self, transport: Transport) -> Request<'_> {
        Request {
            server: self,
            transport,
            path: "/hold".into(),
            query: String::new(),
            version: "HTTP/1.1",
            fields: Vec::new(),
            from: SocketAddr::from(([10, 0, 0, 1], self.port.fetch_add(1, Relaxed))),
        }
    }

    /// A client that is held.
    pub async fn hold(&self, transport: Transport) -> Client {
        self.request(transport).hold().await
    }

    /// Sends a request on a connection of its own, and reads the answer.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut reader = self.dial();
        reader.write(request).await;
        reader.answer().await.expect("an answer")
    }

    /// A new connection.
    pub fn dial(&self) -> Reader {
        let from = SocketAddr::from(([10, 0, 0, 1], self.port.fetch_add(1, Relaxed)));
        Reader::new(self.dialer.connect(from).expect("the server listens"))
    }

    /// Waits for the `count`th call of an end hook, and returns it.
    pub async fn nth_end(&self, count: usize) -> EndCall {
        until("an end", || self.hooks.ends().len() >= count).await;
        self.hooks.ends()[count - 1].clone()
    }

    /// Waits for the first call of an end hook, and returns its cause.
    pub async fn cause(&self) -> End {
        self.nth_end(1).await.end
    }

    /// Waits until every hold has begun to end, and returns the moment, to within one look at the counts.
    pub async fn until_none_held(&self) -> Instant {
        until("every end to begin", || self.hub.held_count() == 0).await;
        Instant::now()
    }

    /// Waits until no hold is ending any more.
    pub async fn until_settled(&self) {
        until("all to be settled", || self.hub.stats().ending == 0).await;
    }

    /// Waits until no hold is left, and fails unless exactly one end hook ran for each hold that there was.
    pub async fn assert_one_end_each(&self) {
        until("no hold", || {
            let stats = self.hub.stats();
            stats.held + stats.ending + stats.hooks_running == 0
        })
        .await;
        self.hooks.assert_no_end_twice();
        let stats = self.hub.stats();
        assert_eq!(self.hooks.ends().len() as u64, stats.suspended, "{stats:?}");
    }

    /// Fails if an end hook ran twice, or for a hold that still counts as held. Holds may come and go meanwhile.
    pub fn assert_no_end_too_many(&self) {
        self.hooks.assert_no_end_twice();
        // In this order: the number of holds that have begun to end only grows.
        let ends = self.hooks.ends().len() as u64;
        let stats = self.hub.stats();
        assert!(ends <= stats.suspended - stats.held as u64, "{ends} end hooks ran: {stats:?}");
    }

    /// Shuts the server down, and fails unless exactly one end hook ran for each hold that there was.
    pub async fn close(self) -> DrainReport {
        self.close_until(pending::<()>()).await
    }

    /// As [`close`](TestServer::close), and cuts the drain short once `hurry` is ready.
    pub async fn close_until(self, hurry: impl Future) -> DrainReport {
        let drained = self.running.shutdown_until(hurry).await;
        let stats = self.hub.stats();
        assert_eq!((stats.held, stats.ending), (0, 0), "{stats:?}");
        self.hooks.assert_no_end_twice();
        assert_eq!(self.hooks.ends().len() as u64, stats.suspended, "{stats:?}");
        drained
    }
}

impl<'a> Request<'a> {
    /// Sets another path.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Adds a query to the transport's.
    pub fn query(mut self, query: &str) -> Self {
        self.query = format!("&{query}");
        self
    }

    /// Adds a header field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Speaks HTTP/1.0.
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// Sends it from this address.
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.from.set_ip(address.into());
        self
    }

    /// The request as it is written.
    pub fn text(&self) -> String {
        let Request { path, query, version, transport, .. } = self;
        let mut text = format!("GET {path}?transport={}{query} {version}\r\nhost: a\r\n", transport.as_str());
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n"
    }

    /// Sends the request, and waits until it is held.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn hold(self) -> Client {
        self.attempt().await.unwrap_or_else(|answer| panic!("refused: {answer:?}"))
    }

    /// Sends the request, and returns the answer that refuses it.
    ///
    /// # Panics
    /// When it is held.
    pub async fn refused(self) -> Answer {
        match self.attempt().await {
            Ok(_) => panic!("held"),
            Err(answer) => answer,
        }
    }

    /// Sends the request; returns the held client, or the answer that refuses it.
    pub async fn attempt(self) -> Result<Client, Answer> {
        let before = self.server.hooks.holds().len();
        let stream = self.server.dialer.connect(self.from).expect("the server listens");
        let client = |head, wire| Client {
            transport: self.transport,
            head,
            messages: Vec::new(),
            wire,
            dialer: self.server.dialer.clone(),
            path: self.path.clone(),
            from: self.from,
        };
        let begun = until("a hold", || self.server.hooks.holds().len() > before);
        match self.transport {
            Transport::WebSocket => {
                let uri = format!("ws://a{}?{}", self.path, self.query);
                let mut request = uri.into_client_request().expect("a request");
                for (name, value) in &self.fields {
                    let name = HeaderName::try_from(name.as_str()).expect("a name");
                    request
                        .headers_mut()
                        .append(name, HeaderValue::try_from(value.as_str()).expect("a value"));
                }
                let (socket, response) = match client_async(request, stream).await {
                    Ok(done) => done,
                    Err(Error::Http(response)) => return Err(refusal(*response)),
                    Err(error) => panic!("{error}"),
                };
                let (parts, _) = response.into_parts();
                begun.await;
                let head = head(parts.status.as_u16(), &parts.headers);
                Ok(client(head, Wire::Socket(Box::new(socket))))
            }
            Transport::LongPoll => {
                let mut reader = Reader::new(stream);
                reader.write(self.text()).await;
                tokio::select! {
                    biased;
                    () = begun => {}
                    more = reader.more() => {
                        assert!(more.expect("an answer"), "closed without an answer");
                        if self.server.hooks.holds().len() == before {
                            return Err(reader.answer().await.expect("an answer"));
                        }
                    }
                }
                Ok(client(Head::default(), Wire::Http(HttpWire::new(reader))))
            }
            _ => {
                let mut reader = Reader::new(stream);
                reader.write(self.text()).await;
                let head = reader.head().await.expect("a head");
                if head.status != 200 {
                    return Err(reader.finish(head).await);
                }
                begun.await;
                Ok(client(head, Wire::Http(HttpWire::new(reader))))
            }
        }
    }
}

/// Waits until `is_so` returns true; fails after ten minutes of the paused clock.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    for round in 0..120_000 {
        if is_so() {
            return;
        }
        match round {
            0..100 => tokio::task::yield_now().await,
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
    panic!("waited in vain for {what}");
}

fn head(status: u16, fields: &tokio_tungstenite::tungstenite::http::HeaderMap) -> Head {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = fields.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    Head { version: "HTTP/1.1".into(), status, fields: fields.collect() }
}

fn refusal(response: tokio_tungstenite::tungstenite::http::Response<Option<Vec<u8>>>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.unwrap_or_default()).expect("text");
    Answer { head: head(parts.status.as_u16(), &parts.headers), body }
}
