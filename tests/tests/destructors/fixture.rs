//! The server, a timeout for deadlocks, and what must be true of the server afterwards.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use abeyance::extract::{Query, State};
use abeyance::{
    BoxError, Disconnect, Ended, Held, Lifecycle, Message, Resume, Retention, Suspend, Transport, suspend,
};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, TestServer, TestServerBuilder, test_server};
use tokio::time::sleep;

use crate::hostile_value::{HostileValue, HostileValues, Kind};

/// The real time after which a test counts as deadlocked. They take a second.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Runs a test with one kind of value, and fails when it deadlocks.
pub(crate) fn try_out<F>(kind: Kind, place: impl FnOnce(HostileValues) -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let (done, outcome) = channel();
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let tried = catch_unwind(AssertUnwindSafe(|| runtime.block_on(place(HostileValues::new(kind)))));
        let _ = done.send(tried);
    });
    match outcome.recv_timeout(TEST_TIMEOUT) {
        Ok(Ok(())) => {}
        Ok(Err(payload)) => resume_unwind(payload),
        Err(_) => panic!("nothing moves any more with {kind:?}"),
    }
}

/// A context with a value of its own.
pub(crate) struct Context {
    inner: TestContext,
    value: HostileValue,
}

impl Lifecycle<Result<(), BoxError>> for Context {
    async fn on_suspend(&mut self, held: &Held) -> Result<(), BoxError> {
        self.inner.on_suspend(held).await
    }

    async fn on_message(&mut self, held: &Held, message: Message) -> Result<(), BoxError> {
        self.inner.on_message(held, message).await
    }

    async fn on_resume(self, ended: &Ended, cause: Resume) -> Result<(), BoxError> {
        let outcome = self.inner.on_resume(ended, cause).await;
        drop(self.value);
        outcome
    }

    async fn on_disconnect(self, ended: &Ended, cause: Disconnect) -> Result<(), BoxError> {
        let outcome = self.inner.on_disconnect(ended, cause).await;
        drop(self.value);
        outcome
    }
}

/// The function of every endpoint here: the context, the driver, two replies and a header have a value each.
fn charged(endpoint: &TestEndpoint, values: &HostileValues, asked: &QueryParams) -> Suspend<Context> {
    let driver = values.value();
    let mut hold = Suspend::with(Context { inner: endpoint.context(), value: values.value() })
        .join("kept/a")
        .header("x-value", values.header())
        .drive(|_| async move {
            let _driver = driver;
            pending::<()>().await;
        });
    if !asked.contains_key("silent") {
        hold = hold.reply(values.message(10)).reply(values.message(20));
    }
    if let Some(key) = asked.get("key") {
        hold = hold.key(key.as_str());
    }
    if asked.contains_key("contrary") {
        hold = hold.max_idle(Duration::from_secs(1)).heartbeat(Duration::from_secs(2));
    }
    if asked.contains_key("many") {
        hold = (0..200).fold(hold, |hold, number| hold.join(format!("many/{number}")));
    }
    hold
}

#[suspend(path = "/charged", max_per_key = 1)]
async fn plain(
    State(endpoint): State<TestEndpoint>,
    State(values): State<HostileValues>,
    Query(asked): Query<QueryParams>,
) -> Suspend<Context> {
    charged(&endpoint, &values, &asked)
}

#[suspend(path = "/evicting", max_suspended = 1, when_full = "resume_oldest")]
async fn evicting(
    State(endpoint): State<TestEndpoint>,
    State(values): State<HostileValues>,
    Query(asked): Query<QueryParams>,
) -> Suspend<Context> {
    charged(&endpoint, &values, &asked)
}

/// A server whose topics keep little, with the endpoints whose contexts have values.
pub(crate) fn server_with(values: &HostileValues) -> TestServerBuilder {
    let values = values.clone();
    test_server().server(|server| {
        server
            .state(values)
            .mount(plain)
            .mount(evicting)
            .mount(live)
            .topic("kept/*", Retention::new().count(1))
            .topic("aged/*", Retention::new().age(Duration::from_secs(1)))
            .topic("log/*", Retention::default())
    })
}

/// Starts it; from here on destructors call its hub.
pub(crate) fn start(builder: TestServerBuilder, values: &HostileValues) -> TestServer {
    let server = builder.start();
    values.let_call(server.hub.clone());
    server
}

/// Waits until so many have been dropped: by a task, or by a thread that knows no paused clock.
pub(crate) async fn dropped(values: &HostileValues, count: usize) {
    drops(&format!("{count} destructors"), || values.dropped() >= count).await;
}

async fn drops(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
        // Gives other threads some time. No notification is possible: the destructor itself may be what hangs.
        thread::park_timeout(Duration::from_micros(200));
    }
    panic!("waited in vain for {what}");
}

/// Fails unless the server still works: a hold begins, gets a message and a scheduled one, and ends by its timeout.
pub(crate) async fn goes_on(server: &TestServer) {
    server.until_settled().await;
    let held = server.hub.held_count();
    let mut client = server.request(Transport::Sse).path("/plain").hold().await;
    let later = server.hub.publish_after(Duration::from_secs(1), "live", "scheduled").unwrap();
    server.hub.publish("live", "at once");
    assert_eq!(client.message().await, "at once");
    assert_eq!(client.message().await, "scheduled");
    drop(later);
    assert_eq!(client.end().await, "resumed timeout, last");
    server.until_settled().await;
    assert_eq!(server.hub.held_count(), held);
    server.assert_no_end_too_many();
}

#[suspend(path = "/plain", transports = [sse], timeout = "20s")]
async fn live(State(endpoint): State<TestEndpoint>) -> Suspend<TestContext> {
    Suspend::with(endpoint.context()).join("live")
}

/// Checks that the server still works and shuts down; then all values must have been dropped.
pub(crate) async fn close(server: TestServer, values: HostileValues) {
    goes_on(&server).await;
    server.close().await;
    values.close();
    drops("the last destructor", || values.is_empty()).await;
}
