//! Durations at every surface, from nothing to the longest there is: each is obeyed, or refused in words. None panics,
//! and none costs a hold its end.

use std::time::Duration;

use abeyance::extract::State;
use abeyance::{Retention, ScheduleError, Server, Suspend, Transport, suspend};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{TestEndpoint, test_server, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const VALUES: [Duration; 9] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::from_secs(60),
    YEAR,
    YEAR.saturating_add(Duration::from_nanos(1)),
    Duration::from_secs(u64::MAX / 2),
    Duration::from_secs(u64::MAX),
    Duration::MAX,
];

/// Whether a span of this length can be meant at all.
fn is_span(value: Duration) -> bool {
    !value.is_zero() && value <= YEAR
}

type Shape = fn(Suspend<TestContext>, Duration) -> Suspend<TestContext>;

/// Its name, how it is set, and which values of it can be meant.
type Clock = (&'static str, Shape, fn(Duration) -> bool);

/// What a `Suspend` overrides; and whether a value of it goes with the rest.
const CLOCKS: [Clock; 5] = [
    ("timeout", |hold, value| hold.timeout(value), is_span),
    ("max_idle", |hold, value| hold.max_idle(value), is_span),
    ("max_lifetime", |hold, value| hold.max_lifetime(value), is_span),
    // Shorter than the `max_idle` of five minutes.
    ("heartbeat", |hold, value| hold.heartbeat(value), |value| is_span(value) && value < YEAR),
    ("heartbeat alone", |hold, value| hold.max_idle(None).heartbeat(value), is_span),
];

#[tokio::test(start_paused = true)]
async fn a_hold_obeys_each_or_is_refused_and_has_its_end() {
    for (clock, shape, is_meant) in CLOCKS {
        for (value, transport) in VALUES
            .into_iter()
            .flat_map(|value| Transport::ALL.iter().copied().map(move |transport| (value, transport)))
        {
            let server = test_server().hold(move |hold| shape(hold, value)).start();
            for _ in 0..5 {
                match server.request(transport).attempt().await {
                    Ok(client) => {
                        assert!(is_meant(value), "{clock} {value:?} {transport:?}");
                        drop(client);
                    }
                    Err(answer) => {
                        assert!(!is_meant(value), "{clock} {value:?} {transport:?}");
                        assert_eq!(answer.head.status, 500, "{clock} {value:?} {transport:?}");
                    }
                }
            }
            until("all ends", || server.hub.held_count() + server.hub.stats().ending == 0).await;
            server.close().await;
        }
    }
}

#[suspend(path = "/quick", transports = [long_poll], timeout = "1s")]
async fn quick(State(endpoint): State<TestEndpoint>) -> Suspend<TestContext> {
    Suspend::with(endpoint.context())
}

type Setting = fn(Server, Duration) -> Server;

const SETTINGS: [(&str, Setting); 7] = [
    ("drain", |server, value| server.drain(value)),
    ("head_timeout", |server, value| server.head_timeout(value)),
    ("function_timeout", |server, value| server.function_timeout(value)),
    ("hook_timeout", |server, value| server.hook_timeout(value)),
    ("write_timeout", |server, value| server.write_timeout(value)),
    ("close_timeout", |server, value| server.close_timeout(value)),
    ("keep_alive", |server, value| server.keep_alive(value)),
];

#[tokio::test(start_paused = true)]
async fn a_server_obeys_each_or_does_not_start() {
    for (setting, set) in SETTINGS {
        for value in VALUES {
            // A drain of no time cuts at once.
            let is_meant = is_span(value) || setting == "drain" && value.is_zero();
            let endpoint = TestEndpoint::default();
            let hooks = endpoint.hooks();
            let (running, dialer) = match set(Server::new(), value).mount(quick).state(endpoint).bind_memory()
            {
                Ok(started) => started,
                Err(error) => {
                    assert!(!is_meant && error.to_string().contains(setting), "{setting} {value:?}: {error}");
                    continue;
                }
            };
            assert!(is_meant, "{setting} {value:?}");
            for port in 1..4 {
                let mut peer = dialer.connect(([10, 0, 0, 1], port).into()).expect("it listens");
                let request = b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n";
                let _ = peer.write_all(request).await;
                let mut said = [0; 12];
                // Some are too short for an answer.
                let _ = timeout(Duration::from_secs(60), peer.read_exact(&mut said)).await;
            }
            sleep(Duration::from_secs(2)).await;
            let hub = running.hub();
            running.shutdown().await;
            let stats = hub.stats();
            hooks.assert_no_end_twice();
            assert_eq!(hooks.ends().len() as u64, stats.suspended, "{setting} {value:?}: {stats:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_keeps_its_past_for_each_or_the_server_does_not_start() {
    for value in VALUES {
        let keep = Retention::new().age(value);
        match Server::new().topic("news", keep).bind_memory() {
            Ok((running, dialer)) => {
                assert!(is_span(value), "{value:?}");
                for _ in 0..3 {
                    running.hub().publish("news", "hello");
                    sleep(Duration::from_millis(100)).await;
                }
                running.shutdown().await;
                drop(dialer);
            }
            Err(error) => assert!(!is_span(value), "{value:?}: {error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_publication_is_scheduled_for_each_or_refused() {
    let server = test_server().start();
    for value in VALUES {
        let after = server.hub.publish_after(value, "news", "hello").map(|later| later.detach());
        let every = server.hub.publish_every(value, "news", "hello").map(|again| again.cancel());
        let made = server.hub.publish_every_with(value, "news", || "hello").map(|again| again.cancel());
        if value > YEAR {
            assert_eq!(after, Err(ScheduleError::TooLong(value)));
            assert_eq!(every, Err(ScheduleError::TooLong(value)));
            assert_eq!(made, Err(ScheduleError::TooLong(value)));
        } else {
            assert_eq!(after, Ok(()));
            let is_long = value >= Duration::from_millis(25);
            let expected = if is_long { Ok(true) } else { Err(ScheduleError::TooOften(value)) };
            assert_eq!((every, made), (expected.clone(), expected));
        }
    }
    // All but those of a minute and of a year.
    until("what is due", || server.hub.scheduled() == 2).await;
    server.close().await;
}
