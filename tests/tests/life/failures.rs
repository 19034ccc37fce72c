//! What the application's own faults come to: one end with the true cause, every place given back, nobody else touched.

use std::future::pending;

use abeyance::{Disconnect, Refusal, Transport};
use abeyance_tests::client::Client;
use abeyance_tests::house::{Plan, TestServer, plan, until};
use tokio::time::{Instant, sleep};

use super::{LATE, seconds};

fn failed(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "1011 failed",
        Transport::LongPoll => "500 failed",
        _ => "FIN",
    }
}

/// A plan with one place: a place that is not given back lets nobody in any more.
fn with_one_place() -> Plan {
    plan().server(|server| server.max_suspended(1))
}

/// The hold has failed: its client sees it, its end hook was told so once, and its place is free.
async fn assert_failed(house: TestServer, mut client: Client) {
    assert_eq!(client.end().await, failed(client.transport));
    assert_eq!(house.cause().await, Disconnect::Failed.into());
    house.settled().await;
    assert_eq!((house.hub.held_count(), house.record.ends().len()), (0, 1));
    house.enter(client.transport).await;
    house.close().await;
}

contract!(an_on_suspend_that_panics of all);
async fn an_on_suspend_that_panics(transport: Transport) {
    let house = with_one_place().on_suspend(|_| async { panic!("on purpose") }).open();
    let client = house.enter(transport).await;
    assert_failed(house, client).await;
}

contract!(an_on_suspend_that_panics_after_an_await of all);
async fn an_on_suspend_that_panics_after_an_await(transport: Transport) {
    let house = with_one_place()
        .on_suspend(|_| async {
            sleep(seconds(1)).await;
            panic!("on purpose")
        })
        .open();
    let client = house.enter(transport).await;
    assert_failed(house, client).await;
}

contract!(an_on_suspend_that_never_returns of all);
async fn an_on_suspend_that_never_returns(transport: Transport) {
    let house = with_one_place().on_suspend(|_| pending()).open();
    let begun = Instant::now();
    let client = house.enter(transport).await;
    let told = house.told(1).await;
    assert!((seconds(30)..seconds(30) + LATE).contains(&(told.at - begun)));
    assert_failed(house, client).await;
}

contract!(an_on_suspend_that_returns_an_error of all);
async fn an_on_suspend_that_returns_an_error(transport: Transport) {
    let house = with_one_place().try_on_suspend(|_| async { Err("on purpose".into()) }).open();
    let client = house.enter(transport).await;
    assert_failed(house, client).await;
}

contract!(an_on_message_that_returns_an_error of lasting);
async fn an_on_message_that_returns_an_error(transport: Transport) {
    let doubt = |_, message: abeyance::Message| async move {
        message.as_text().unwrap_or("").parse::<u64>()?;
        sleep(seconds(1)).await;
        Ok(())
    };
    let house = with_one_place().try_on_message(doubt).open();
    let mut client = house.enter(transport).await;
    client.say("1").await;
    client.stay(seconds(2)).await;
    assert_eq!(house.hub.held_count(), 1);
    client.say("one").await;
    assert_failed(house, client).await;
}

contract!(an_on_message_that_panics of lasting);
async fn an_on_message_that_panics(transport: Transport) {
    let house = with_one_place().on_message(|_, _| async { panic!("on purpose") }).open();
    let mut client = house.enter(transport).await;
    client.say("hello").await;
    assert_failed(house, client).await;
}

contract!(an_on_message_that_never_returns of lasting);
async fn an_on_message_that_never_returns(transport: Transport) {
    let house = with_one_place().on_message(|_, _| pending()).open();
    let mut client = house.enter(transport).await;
    client.say("hello").await;
    let begun = Instant::now();
    let told = house.told(1).await;
    assert!((seconds(30)..seconds(30) + LATE).contains(&(told.at - begun)));
    assert_failed(house, client).await;
}

contract!(a_driver_that_panics of all);
async fn a_driver_that_panics(transport: Transport) {
    let shape = |hold: abeyance::Suspend<_>| {
        hold.drive(|_| async {
            sleep(seconds(1)).await;
            panic!("on purpose")
        })
    };
    let house = with_one_place().hold(shape).open();
    let client = house.enter(transport).await;
    assert_failed(house, client).await;
}

contract!(a_driver_that_fails of all);
async fn a_driver_that_fails(transport: Transport) {
    let shape = |hold: abeyance::Suspend<_>| {
        hold.try_drive(|_| async {
            sleep(seconds(1)).await;
            Err("on purpose".into())
        })
    };
    let house = with_one_place().hold(shape).open();
    let client = house.enter(transport).await;
    assert_failed(house, client).await;
}

contract!(a_driver_that_returns_leaves_the_hold of all);
async fn a_driver_that_returns_leaves_the_hold(transport: Transport) {
    let house = with_one_place().hold(|hold| hold.drive(|_| sleep(seconds(1)))).open();
    let mut client = house.enter(transport).await;
    client.stay(seconds(20)).await;
    assert_eq!(house.hub.held_count(), 1);
    house.close().await;
}

contract!(a_driver_is_dropped_when_its_hold_ends of all);
async fn a_driver_is_dropped_when_its_hold_ends(transport: Transport) {
    struct Dropped(std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let house = plan()
        .hold({
            let flag = flag.clone();
            move |hold| {
                let guard = Dropped(flag.clone());
                hold.drive(|_| async move {
                    let _guard = guard;
                    pending().await
                })
            }
        })
        .open();
    let mut client = house.enter(transport).await;
    sleep(seconds(1)).await;
    assert!(!flag.load(std::sync::atomic::Ordering::Relaxed));
    house.record.newest().resume();
    client.end().await;
    house.told(1).await;
    assert!(flag.load(std::sync::atomic::Ordering::Relaxed));
    house.close().await;
}

contract!(an_end_hook_that_panics_has_ended_its_hold_all_the_same of all);
async fn an_end_hook_that_panics_has_ended_its_hold_all_the_same(transport: Transport) {
    let house = with_one_place().on_end(|_, _| async { panic!("on purpose") }).open();
    for round in 1..=3 {
        let mut client = house.enter(transport).await;
        house.record.newest().resume();
        client.end().await;
        assert_eq!(house.told(round).await.end, abeyance::Resume::Released.into());
        house.settled().await;
    }
    assert_eq!(house.hub.stats().hooks_failed, 3);
    house.close().await;
}

contract!(an_end_hook_that_returns_an_error_is_counted_and_has_ended_its_hold of all);
async fn an_end_hook_that_returns_an_error_is_counted_and_has_ended_its_hold(transport: Transport) {
    let house = with_one_place().try_on_end(|_, _| async { Err("on purpose".into()) }).open();
    for round in 1..=3 {
        let mut client = house.enter(transport).await;
        house.record.newest().resume();
        client.end().await;
        assert_eq!(house.told(round).await.end, abeyance::Resume::Released.into());
        house.settled().await;
    }
    assert_eq!(house.hub.stats().hooks_failed, 3);
    house.close().await;
}

/// Cannot even be dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

contract!(a_driver_that_never_ran_and_cannot_be_dropped_keeps_no_end_hook_from_running of all);
async fn a_driver_that_never_ran_and_cannot_be_dropped_keeps_no_end_hook_from_running(transport: Transport) {
    let armed = |hold: abeyance::Suspend<_>| {
        let bomb = Bomb;
        hold.drive(move |_| async move {
            let _bomb = bomb;
            pending().await
        })
    };
    let house = with_one_place().hold(armed).on_suspend(|held| async move {
        held.resume();
        pending().await
    });
    let house = house.open();
    for round in 1..=2 {
        let mut client = house.enter(transport).await;
        client.end().await;
        assert_eq!(house.told(round).await.end, abeyance::Resume::Released.into());
        house.settled().await;
    }
    house.close().await;
}

contract!(an_end_hook_that_hangs_delays_nobody of all);
async fn an_end_hook_that_hangs_delays_nobody(transport: Transport) {
    let house = with_one_place().on_end(|_, _| pending()).open();
    for round in 1..=3 {
        let begun = Instant::now();
        let mut client = house.enter(transport).await;
        house.record.newest().resume();
        client.end().await;
        house.told(round).await;
        house.settled().await;
        assert!(begun.elapsed() < seconds(1));
    }
    assert_eq!((house.hub.stats().hooks_running, house.hub.stats().hooks_failed), (3, 0));
    tokio::time::sleep(seconds(31)).await;
    assert_eq!((house.hub.stats().hooks_running, house.hub.stats().hooks_failed), (0, 3));
    house.close().await;
}

contract!(a_hook_that_hangs_delays_no_other_hold of all);
async fn a_hook_that_hangs_delays_no_other_hold(transport: Transport) {
    let house = plan()
        .hold(|hold| hold.timeout(seconds(10)).join("news"))
        .on_suspend(|held| async move {
            if held.peer().port() == 1 {
                pending().await
            }
        })
        .open();
    let _stuck = house.enter(transport).await;
    let begun = Instant::now();
    let mut client = house.enter(transport).await;
    assert_eq!(house.hub.publish("news", "one"), 2);
    assert_eq!(client.message().await, "one");
    client.end().await;
    assert!(begun.elapsed() < seconds(11));
    house.close().await;
}

/// A request that the function does not let in is answered, and has taken nothing.
async fn assert_refused(house: TestServer, transport: Transport, status: u16, text: &str) {
    for _ in 0..3 {
        let answer = house.visit(transport).query("deny=1").refused().await;
        assert_eq!((answer.head.status, answer.body.as_str()), (status, text));
    }
    assert_eq!(house.hub.stats().suspended, 0);
    let mut client = house.enter(transport).await;
    client.stay(seconds(1)).await;
    house.close().await;
}

contract!(a_function_that_refuses_has_its_words_answered of all);
async fn a_function_that_refuses_has_its_words_answered(transport: Transport) {
    let house = with_one_place()
        .function(|asked| async move {
            if asked.contains_key("deny") { Err(Refusal::forbidden("not you")) } else { Ok(()) }
        })
        .open();
    assert_refused(house, transport, 403, "not you").await;
}

contract!(a_function_that_panics_is_a_server_error of all);
async fn a_function_that_panics_is_a_server_error(transport: Transport) {
    let house = with_one_place()
        .function(|asked| async move {
            assert!(!asked.contains_key("deny"), "on purpose");
            Ok(())
        })
        .open();
    assert_refused(house, transport, 500, "").await;
}

contract!(a_function_that_overruns_is_not_ready_in_time of all);
async fn a_function_that_overruns_is_not_ready_in_time(transport: Transport) {
    let house = with_one_place()
        .function(|asked| async move {
            if asked.contains_key("deny") {
                pending::<()>().await;
            }
            Ok(())
        })
        .open();
    let begun = Instant::now();
    assert_eq!(house.visit(transport).query("deny=1").refused().await.head.status, 503);
    assert!((seconds(10)..seconds(10) + LATE).contains(&begun.elapsed()));
    assert_refused(house, transport, 503, "not ready in time").await;
}

contract!(a_peer_that_leaves_while_the_function_runs_takes_no_place of all);
async fn a_peer_that_leaves_while_the_function_runs_takes_no_place(transport: Transport) {
    let house = with_one_place()
        .function(|asked| async move {
            if asked.contains_key("wait") {
                sleep(seconds(5)).await;
            }
            Ok(())
        })
        .open();
    let mut reader = house.dial();
    reader.write(house.visit(transport).query("wait=1").text()).await;
    sleep(seconds(1)).await;
    drop(reader);
    sleep(seconds(10)).await;
    // Whether it was held for a moment or never: nothing of it is left.
    until("the place to be free", || house.hub.held_count() == 0).await;
    house.enter(transport).await;
    house.close().await;
}
