//! What `after_drain` runs: once, last, and no longer than `hook_timeout`.

use std::future::{pending, ready};
use std::sync::Arc;

use abeyance::{BoxError, Server, Transport};
use abeyance_tests::log::Log;
use abeyance_tests::test_server::test_server;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

type HookRecorder = Arc<Mutex<Vec<&'static str>>>;

contract!(it_is_done_when_the_last_end_hook_has_returned of all);
async fn it_is_done_when_the_last_end_hook_has_returned(transport: Transport) {
    let hooks = HookRecorder::default();
    let (hook, first, second) = (hooks.clone(), hooks.clone(), hooks.clone());
    let server = test_server()
        .server(move |server| {
            let server = server.after_drain(async move || {
                sleep(seconds(2)).await;
                first.lock().push("first");
            });
            server.after_drain(async move || second.lock().push("second"))
        })
        .on_end(move |_, _| {
            let hook = hook.clone();
            async move {
                sleep(seconds(3)).await;
                hook.lock().push("end hook");
            }
        })
        .start();
    let mut client = server.hold(transport).await;
    let begun = Instant::now();
    let (drained, _) = tokio::join!(server.close(), client.end());
    assert_eq!(*hooks.lock(), ["end hook", "first", "second"]);
    assert!(!drained.after_drain_failed);
    assert!(begun.elapsed() - drained.took >= seconds(2), "{drained:?}");
}

async fn panics() {
    panic!("on purpose")
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_told_and_the_next_is_done_all_the_same() {
    type Step = fn(Server) -> Server;
    let steps: [(Step, &str); 4] = [
        (
            |server| server.after_drain(|| async { Err(BoxError::from("no room")) }),
            "returned an error: no room",
        ),
        (|server| server.after_drain(panics), "panicked: on purpose"),
        (
            |server| server.after_drain(|| -> std::future::Ready<()> { panic!("at once") }),
            "panicked: at once",
        ),
        (|server| server.after_drain(|| ready(Err::<(), _>("a text"))), "returned an error: a text"),
    ];
    for (step, told) in steps {
        let (log, hooks) = (Log::listen(), HookRecorder::default());
        let next = hooks.clone();
        let server = test_server()
            .server(step)
            .server(move |server| server.after_drain(async move || next.lock().push("next")))
            .start();
        assert!(server.close().await.after_drain_failed);
        assert_eq!(*hooks.lock(), ["next"]);
        assert_eq!(log.lines(&["ERROR", told]).len(), 1, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_given_up_at_the_hook_deadline_and_in_a_hurry_after_a_second() {
    for (hurries_after, expected) in [(600, 30), (0, 1), (5, 6)] {
        let hooks = HookRecorder::default();
        let never = hooks.clone();
        let server = test_server()
            .server(|server| server.after_drain(pending::<()>))
            .server(move |server| server.after_drain(async move || never.lock().push("too late")))
            .start();
        let begun = Instant::now();
        let drained = server.close_until(sleep(seconds(hurries_after))).await;
        assert!(drained.after_drain_failed && hooks.lock().is_empty());
        let took = begun.elapsed();
        assert!((seconds(expected)..=seconds(expected) + LATE).contains(&took), "{hurries_after}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_done_after_a_shutdown_that_had_to_cut_too() {
    let hooks = HookRecorder::default();
    let step = hooks.clone();
    let server = test_server()
        .server(move |server| server.after_drain(async move || step.lock().push("done")))
        .on_end(|_, _| pending())
        .start();
    let _client = server.hold(Transport::Sse).await;
    let drained = server.close_until(ready(())).await;
    assert_eq!((drained.hooks_unfinished, drained.after_drain_failed), (1, false));
    assert_eq!(*hooks.lock(), ["done"]);
}
