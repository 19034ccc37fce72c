//! What is done after the drain: once, last, and not for longer than it may take.

use std::future::{pending, ready};
use std::sync::Arc;

use abeyance::{BoxError, Server, Transport};
use abeyance_tests::house::plan;
use abeyance_tests::log::Log;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

type Diary = Arc<Mutex<Vec<&'static str>>>;

contract!(it_is_done_when_the_last_end_hook_has_returned of all);
async fn it_is_done_when_the_last_end_hook_has_returned(transport: Transport) {
    let diary = Diary::default();
    let (hook, first, second) = (diary.clone(), diary.clone(), diary.clone());
    let house = plan()
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
        .open();
    let mut client = house.enter(transport).await;
    let begun = Instant::now();
    let (drained, _) = tokio::join!(house.close(), client.end());
    assert_eq!(*diary.lock(), ["end hook", "first", "second"]);
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
        let (log, diary) = (Log::listen(), Diary::default());
        let next = diary.clone();
        let house = plan()
            .server(step)
            .server(move |server| server.after_drain(async move || next.lock().push("next")))
            .open();
        assert!(house.close().await.after_drain_failed);
        assert_eq!(*diary.lock(), ["next"]);
        assert_eq!(log.lines(&["ERROR", told]).len(), 1, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_given_up_at_the_hook_deadline_and_in_a_hurry_after_a_second() {
    for (hurries_after, expected) in [(600, 30), (0, 1), (5, 6)] {
        let diary = Diary::default();
        let never = diary.clone();
        let house = plan()
            .server(|server| server.after_drain(pending::<()>))
            .server(move |server| server.after_drain(async move || never.lock().push("too late")))
            .open();
        let begun = Instant::now();
        let drained = house.close_until(sleep(seconds(hurries_after))).await;
        assert!(drained.after_drain_failed && diary.lock().is_empty());
        let took = begun.elapsed();
        assert!((seconds(expected)..=seconds(expected) + LATE).contains(&took), "{hurries_after}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_done_after_a_shutdown_that_had_to_cut_too() {
    let diary = Diary::default();
    let step = diary.clone();
    let house = plan()
        .server(move |server| server.after_drain(async move || step.lock().push("done")))
        .on_end(|_, _| pending())
        .open();
    let _client = house.enter(Transport::Sse).await;
    let drained = house.close_until(ready(())).await;
    assert_eq!((drained.hooks_unfinished, drained.after_drain_failed), (1, false));
    assert_eq!(*diary.lock(), ["done"]);
}
