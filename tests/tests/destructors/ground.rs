//! A server, the watch over it, and what must be true of it afterwards.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use abeyance::extract::{Query, State};
use abeyance::{
    BoxError, Disconnect, Ended, Held, Lifecycle, Message, Resume, Retention, Suspend, Transport, suspend,
};
use abeyance_tests::guest::Guest;
use abeyance_tests::house::{Asked, Plan, Stage, TestServer, plan};
use tokio::time::sleep;

use crate::charge::{Charge, Kind, Yard};

/// How long nothing may come of a test, in real time. They take a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tries a place with one kind of value, and fails when it is not done in time: a deadlock.
pub(crate) fn try_out<F>(kind: Kind, place: impl FnOnce(Yard) -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let (done, outcome) = channel();
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let tried = catch_unwind(AssertUnwindSafe(|| runtime.block_on(place(Yard::new(kind)))));
        let _ = done.send(tried);
    });
    match outcome.recv_timeout(PATIENCE) {
        Ok(Ok(())) => {}
        Ok(Err(payload)) => resume_unwind(payload),
        Err(_) => panic!("nothing moves any more with {kind:?}"),
    }
}

/// A context with a value of its own.
pub(crate) struct Seat {
    guest: Guest,
    charge: Charge,
}

impl Lifecycle<Result<(), BoxError>> for Seat {
    async fn on_suspend(&mut self, held: &Held) -> Result<(), BoxError> {
        self.guest.on_suspend(held).await
    }

    async fn on_message(&mut self, held: &Held, message: Message) -> Result<(), BoxError> {
        self.guest.on_message(held, message).await
    }

    async fn on_resume(self, ended: &Ended, cause: Resume) -> Result<(), BoxError> {
        let outcome = self.guest.on_resume(ended, cause).await;
        drop(self.charge);
        outcome
    }

    async fn on_disconnect(self, ended: &Ended, cause: Disconnect) -> Result<(), BoxError> {
        let outcome = self.guest.on_disconnect(ended, cause).await;
        drop(self.charge);
        outcome
    }
}

/// The function of every endpoint here: the context, the driver, two replies and a header have a value each.
fn charged(stage: &Stage, yard: &Yard, asked: &Asked) -> Suspend<Seat> {
    let driver = yard.charge();
    let mut hold = Suspend::with(Seat { guest: stage.guest(), charge: yard.charge() })
        .join("kept/a")
        .header("x-charge", yard.header())
        .drive(|_| async move {
            let _driver = driver;
            pending::<()>().await;
        });
    if !asked.contains_key("silent") {
        hold = hold.reply(yard.message(10)).reply(yard.message(20));
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
    State(stage): State<Stage>,
    State(yard): State<Yard>,
    Query(asked): Query<Asked>,
) -> Suspend<Seat> {
    charged(&stage, &yard, &asked)
}

#[suspend(path = "/evicting", max_suspended = 1, when_full = "resume_oldest")]
async fn evicting(
    State(stage): State<Stage>,
    State(yard): State<Yard>,
    Query(asked): Query<Asked>,
) -> Suspend<Seat> {
    charged(&stage, &yard, &asked)
}

/// A server whose topics keep little, with the endpoints whose contexts have values.
pub(crate) fn ground(yard: &Yard) -> Plan {
    let yard = yard.clone();
    plan().server(|server| {
        server
            .state(yard)
            .mount(plain)
            .mount(evicting)
            .mount(live)
            .topic("kept/*", Retention::new().count(1))
            .topic("aged/*", Retention::new().age(Duration::from_secs(1)))
            .topic("log/*", Retention::default())
    })
}

/// Opens it; from here on destructors call its hub.
pub(crate) fn open(plan: Plan, yard: &Yard) -> TestServer {
    let house = plan.open();
    yard.open(house.hub.clone());
    house
}

/// Waits until so many have been dropped: by a task, or by a thread that knows no paused clock.
pub(crate) async fn dropped(yard: &Yard, count: usize) {
    drops(&format!("{count} destructors"), || yard.dropped() >= count).await;
}

async fn drops(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
        // A moment for other threads; this one is told by nobody, since a destructor may be what hangs.
        thread::park_timeout(Duration::from_micros(200));
    }
    panic!("waited in vain for {what}");
}

/// Everything goes on: a hold begins and is published to, a clock ends it, and what is scheduled comes.
pub(crate) async fn goes_on(house: &TestServer) {
    house.settled().await;
    let held = house.hub.held_count();
    let mut client = house.visit(Transport::Sse).path("/plain").enter().await;
    let later = house.hub.publish_after(Duration::from_secs(1), "live", "scheduled").unwrap();
    house.hub.publish("live", "at once");
    assert_eq!(client.message().await, "at once");
    assert_eq!(client.message().await, "scheduled");
    drop(later);
    assert_eq!(client.end().await, "resumed timeout, last");
    house.settled().await;
    assert_eq!(house.hub.held_count(), held);
    house.assert_lawful();
}

#[suspend(path = "/plain", transports = [sse], timeout = "20s")]
async fn live(State(stage): State<Stage>) -> Suspend<Guest> {
    Suspend::with(stage.guest()).join("live")
}

/// Everything goes on, and stops in good order; then no value is left anywhere.
pub(crate) async fn close(house: TestServer, yard: Yard) {
    goes_on(&house).await;
    house.close().await;
    yard.close();
    drops("the last destructor", || yard.is_empty()).await;
}
