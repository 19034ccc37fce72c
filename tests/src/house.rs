//! A server in memory with one endpoint, `/hold`, that does what the test says.

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
use crate::guest::{Guest, Record, Script, Told};
use crate::reader::{Answer, Head, Reader};

/// What a request asked, by name.
pub type Asked = HashMap<String, String>;

type Shape = Arc<dyn Fn(Suspend<Guest>) -> Suspend<Guest> + Send + Sync>;
type Word = Arc<dyn Fn(Asked) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// What the endpoint does; a `State` of its function.
#[derive(Clone)]
pub struct Stage {
    record: Record,
    script: Script,
    shape: Shape,
    word: Word,
}

/// A server that is being set up.
pub struct Plan {
    stage: Stage,
    server: Server,
}

/// A server in memory.
pub struct TestServer {
    /// What its hooks were called with.
    pub record: Record,
    /// Its own view.
    pub hub: Hub,
    /// Opens connections.
    pub dialer: Dialer,
    running: ServerHandle,
    port: AtomicU16,
}

/// A request that is being made up.
pub struct Visit<'a> {
    house: &'a TestServer,
    transport: Transport,
    path: String,
    query: String,
    version: &'static str,
    fields: Vec<(String, String)>,
    from: SocketAddr,
}

#[suspend(path = "/hold")]
async fn hold(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refusal> {
    stage.enter(asked).await
}

impl Stage {
    /// A context that writes down its hooks and does what the test says, for functions that hold in a way of their own.
    pub fn guest(&self) -> Guest {
        Guest::new(self.record.clone(), self.script.clone())
    }

    /// What every endpoint of a test does: asks the test whether to hold, and holds as the test says.
    pub async fn enter(self, asked: Asked) -> Result<Suspend<Guest>, Refusal> {
        let key = asked.get("key").cloned();
        (self.word)(asked).await?;
        let mut suspend = Suspend::with(Guest::new(self.record, self.script));
        if let Some(key) = key {
            suspend = suspend.key(key);
        }
        Ok((self.shape)(suspend))
    }
}

impl Default for Stage {
    fn default() -> Self {
        Stage {
            record: Record::default(),
            script: Script::default(),
            shape: Arc::new(|suspend| suspend),
            word: Arc::new(|_| Box::pin(ready(Ok(())))),
        }
    }
}

/// A server whose holds do nothing.
pub fn plan() -> Plan {
    Plan { stage: Stage::default(), server: Server::new() }
}

impl Plan {
    /// Shapes each hold: its clocks, topics, replies.
    pub fn hold(mut self, shape: impl Fn(Suspend<Guest>) -> Suspend<Guest> + Send + Sync + 'static) -> Self {
        self.stage.shape = Arc::new(shape);
        self
    }

    /// What the function does before it says yes.
    pub fn function<F>(mut self, word: impl Fn(Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        self.stage.word = Arc::new(move |asked| Box::pin(word(asked)));
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
        self.stage.script.on_suspend = Some(Arc::new(move |held, ()| Box::pin(act(held))));
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
        self.stage.script.on_message = Some(Arc::new(move |held, message| Box::pin(act(held, message))));
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
        self.stage.script.on_end = Some(Arc::new(move |ended, end| Box::pin(act(ended, end))));
        self
    }

    /// Sets up the server.
    pub fn server(mut self, set_up: impl FnOnce(Server) -> Server) -> Self {
        self.server = set_up(self.server);
        self
    }

    /// Opens the house.
    pub fn open(self) -> TestServer {
        let record = self.stage.record.clone();
        let (running, dialer) =
            self.server.state(self.stage).mount(hold).bind_memory().unwrap_or_else(|error| panic!("{error}"));
        TestServer { record, hub: running.hub(), dialer, running, port: AtomicU16::new(1) }
    }
}

impl TestServer {
    /// A request for `/hold`, from a peer of its own port.
    pub fn visit(&self, transport: Transport) -> Visit<'_> {
        Visit {
            house: self,
            transport,
            path: "/hold".into(),
            query: String::new(),
            version: "HTTP/1.1",
            fields: Vec::new(),
            from: SocketAddr::from(([10, 0, 0, 1], self.port.fetch_add(1, Relaxed))),
        }
    }

    /// A client that is held.
    pub async fn enter(&self, transport: Transport) -> Client {
        self.visit(transport).enter().await
    }

    /// An ordinary exchange on a connection of its own.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut reader = self.dial();
        reader.write(request).await;
        reader.answer().await.expect("an answer")
    }

    /// A connection.
    pub fn dial(&self) -> Reader {
        let from = SocketAddr::from(([10, 0, 0, 1], self.port.fetch_add(1, Relaxed)));
        Reader::new(self.dialer.connect(from).expect("the server listens"))
    }

    /// Waits for the `count`th end, and gives it.
    pub async fn told(&self, count: usize) -> Told {
        until("an end", || self.record.told().len() >= count).await;
        self.record.told()[count - 1].clone()
    }

    /// Waits for the one end of the one hold, and gives its cause.
    pub async fn cause(&self) -> End {
        self.told(1).await.end
    }

    /// Waits until no end has yet to begin; says when the last began, as far as the look at it is exact.
    pub async fn none_held(&self) -> Instant {
        until("every end to begin", || self.hub.held_count() == 0).await;
        Instant::now()
    }

    /// Waits until no hold is ending any more.
    pub async fn settled(&self) {
        until("all to be settled", || self.hub.stats().ending == 0).await;
    }

    /// Fails if the books are wrong.
    pub fn assert_lawful(&self) {
        let stats = self.hub.stats();
        assert!(stats.is_lawful(), "{stats:?}");
        self.record.assert_once();
    }

    /// Shuts the server down; then every hold that ever began must have been told its one end.
    pub async fn close(self) -> DrainReport {
        self.close_until(pending::<()>()).await
    }

    /// As [`close`](TestServer::close), in a hurry when `hurry` is ready.
    pub async fn close_until(self, hurry: impl Future) -> DrainReport {
        self.assert_lawful();
        let drained = self.running.shutdown_until(hurry).await;
        let stats = self.hub.stats();
        assert!(stats.is_lawful() && stats.held == 0 && stats.ending == 0, "{stats:?}");
        self.record.assert_once();
        assert_eq!(self.record.told().len() as u64, stats.suspended, "{stats:?}");
        drained
    }
}

impl<'a> Visit<'a> {
    /// At another path.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// With a query, beside the transport.
    pub fn query(mut self, query: &str) -> Self {
        self.query = format!("&{query}");
        self
    }

    /// With one more field in the head.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// In HTTP/1.0.
    pub fn http10(mut self) -> Self {
        self.version = "HTTP/1.0";
        self
    }

    /// From this address.
    pub fn from(mut self, address: [u8; 4]) -> Self {
        self.from.set_ip(address.into());
        self
    }

    /// The request as it is written.
    pub fn text(&self) -> String {
        let Visit { path, query, version, transport, .. } = self;
        let mut text = format!("GET {path}?transport={}{query} {version}\r\nhost: a\r\n", transport.as_str());
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n"
    }

    /// Sends it, and waits until it is held.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn enter(self) -> Client {
        self.attempt().await.unwrap_or_else(|answer| panic!("refused: {answer:?}"))
    }

    /// Sends it, and waits until it is refused.
    ///
    /// # Panics
    /// When it is held.
    pub async fn refused(self) -> Answer {
        match self.attempt().await {
            Ok(_) => panic!("held"),
            Err(answer) => answer,
        }
    }

    /// Sends it; either it is held, or the answer says why not.
    pub async fn attempt(self) -> Result<Client, Answer> {
        let before = self.house.record.begun().len();
        let stream = self.house.dialer.connect(self.from).expect("the server listens");
        let client = |head, wire| Client {
            transport: self.transport,
            head,
            messages: Vec::new(),
            wire,
            dialer: self.house.dialer.clone(),
            path: self.path.clone(),
            from: self.from,
        };
        let begun = until("a hold", || self.house.record.begun().len() > before);
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
                        if self.house.record.begun().len() == before {
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

/// Waits until something is so; fails when it is not after ten minutes of the paused clock.
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
