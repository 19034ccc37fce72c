//! The clocks over served time: what falls due, when, and for what.

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::keeper::message_class::MessageClass;
use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::words::message::Message;

/// Has the keeper keep time until the set is dropped.
#[must_use]
fn keep_time(server: &TestServer) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(server.keeper.clone().keep_time());
    tasks
}

/// Moves time on in steps that are no stall, with a sweep after each.
async fn pass(server: &TestServer, span: Duration) {
    let mut left = span;
    while !left.is_zero() {
        let step = left.min(millis(25));
        advance(step).await;
        left -= step;
        server.keeper.sweep();
    }
}

fn timeout(span: Duration) -> EndpointOptions {
    EndpointOptions { timeout: Some(Some(span)), ..STILL }
}

fn idle(span: Duration) -> EndpointOptions {
    EndpointOptions { max_idle: Some(Some(span)), ..STILL }
}

/// Ends at the earliest `span` after `since`, and not 100 ms later.
#[track_caller]
fn assert_in_time(since: Instant, span: Duration) {
    let late = since.elapsed().checked_sub(span).expect("never early");
    assert!(late <= millis(100), "{late:?} late");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_rests_is_looked_at_again_although_one_behind_it_ends() {
    let server = TestServer::of(timeout(secs(30)));
    let _time = keep_time(&server);
    let (first, second) = (server.suspend(SSE), server.suspend(SSE));
    sleep(secs(10)).await;
    first.hold.record_activity();
    assert_eq!(second.end().await, "timeout");
    sleep(secs(15)).await;
    assert_eq!(first.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn silence_while_blocked_and_deaf_at_once_is_given_back_once() {
    let server = TestServer::of(idle(secs(20)));
    let _time = keep_time(&server);
    let test_hold = server.suspend(SSE);
    let begun = Instant::now();
    sleep(secs(15)).await;
    test_hold.peer_io.window(0);
    test_hold.hold.pause_reads();
    test_hold.hold.send(&Encoded::new(&"x".into()), MessageClass::Direct).unwrap();
    sleep(secs(4)).await;
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    test_hold.hold.resume_reads();
    assert_eq!(test_hold.end().await, "idle");
    assert_in_time(begun, secs(24));
}

#[tokio::test(start_paused = true)]
async fn silence_is_given_back_whole_although_a_blocked_write_made_progress() {
    let server = TestServer::of(idle(secs(20)));
    let _time = keep_time(&server);
    let test_hold = server.suspend(SSE);
    let begun = Instant::now();
    sleep(secs(10)).await;
    test_hold.peer_io.window(0);
    test_hold.hold.send(&Encoded::new(&"long".repeat(5_000).into()), MessageClass::Direct).unwrap();
    for _ in 0..3 {
        sleep(secs(5)).await;
        test_hold.peer_io.window(5 * 512);
        assert!(test_hold.flush().is_pending());
    }
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    assert_eq!(test_hold.end().await, "idle");
    assert_in_time(begun, secs(35));
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_while_we_do_not_read_makes_no_clock_late() {
    let server = TestServer::of(idle(secs(20)));
    let _time = keep_time(&server);
    let test_hold = server.suspend(SSE);
    test_hold.hold.pause_reads();
    // Past the look that was armed when it began: the next one is armed while reads are paused.
    sleep(secs(19)).await;
    test_hold.hold.record_life();
    sleep(secs(3)).await;
    test_hold.hold.resume_reads();
    let heard = Instant::now();
    assert_eq!(test_hold.end().await, "idle");
    assert_in_time(heard, secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_shorter_than_a_tick_does_not_keep_the_sweep_forever() {
    let server = TestServer::of(EndpointOptions { timeout: Some(Some(millis(2))), ..EndpointOptions::NONE });
    let test_hold = server.suspend(SSE);
    pass(&server, millis(1)).await;
    pass(&server, millis(100)).await;
    assert!(test_hold.cause().is_some());
}

#[tokio::test(start_paused = true)]
async fn activity_before_a_late_sweep_is_not_dated_early() {
    let server = TestServer::of(timeout(secs(2)));
    let test_hold = server.suspend(SSE);
    pass(&server, millis(100)).await;
    advance(millis(900)).await;
    test_hold.hold.record_activity();
    let active = Instant::now();
    while test_hold.cause().is_none() {
        pass(&server, millis(25)).await;
    }
    assert_in_time(active, secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_span_that_begins_within_a_millisecond_is_not_cut_short() {
    let server = TestServer::of(timeout(millis(50)));
    tokio::time::advance(Duration::from_micros(24_900)).await;
    server.keeper.sweep();
    let test_hold = server.suspend(SSE);
    let begun = Instant::now();
    advance(Duration::from_micros(25_100)).await;
    server.keeper.sweep();
    advance(Duration::from_micros(24_000)).await;
    server.keeper.sweep();
    assert_eq!(test_hold.cause(), None, "after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_a_stall_still_answers_the_heartbeat_before_it() {
    let settings =
        EndpointOptions { timeout: Some(Some(secs(60))), heartbeat: Some(Some(secs(20))), ..STILL };
    let server = TestServer::of(settings);
    let test_hold = server.suspend(SSE);
    let beats = |test_hold: &TestHold| test_hold.peer_io.text().matches(':').count();
    while beats(&test_hold) < 2 {
        pass(&server, millis(25)).await;
    }
    let answered = Instant::now() + millis(1);
    advance(millis(1)).await;
    test_hold.peer_io.answer(Answers::Last(answered));
    // No further answer is needed: none is asked for.
    advance(secs(600)).await;
    server.keeper.sweep();
    while test_hold.cause().is_none() {
        test_hold.hold.next_beat.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        pass(&server, millis(25)).await;
    }
    assert_eq!(test_hold.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_dated_a_little_early_by_a_coarse_kernel_is_an_answer() {
    let settings =
        EndpointOptions { timeout: Some(Some(secs(60))), heartbeat: Some(Some(secs(20))), ..STILL };
    let server = TestServer::of(settings);
    let test_hold = server.suspend(SSE);
    let beats = |test_hold: &TestHold| test_hold.peer_io.text().matches(':').count();
    while beats(&test_hold) < 2 {
        pass(&server, millis(25)).await;
    }
    test_hold.peer_io.answer(Answers::Last(Instant::now() - millis(4)));
    while test_hold.cause().is_none() {
        test_hold.hold.next_beat.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        pass(&server, millis(25)).await;
    }
    assert_eq!(test_hold.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_of_what_our_kernel_has_is_stalled_and_not_idle() {
    for (max_idle, due) in [(secs(4), secs(10)), (secs(40), secs(40))] {
        let settings =
            EndpointOptions { max_idle: Some(Some(max_idle)), heartbeat: Some(Some(secs(1))), ..STILL };
        let server = TestServer::of(settings);
        let (test_hold, vanished) = (server.suspend(SSE), server.suspend(SSE));
        pass(&server, secs(1)).await;
        let answered = Instant::now();
        for peer_io in [&test_hold.peer_io, &vanished.peer_io] {
            peer_io.answer(Answers::Last(answered));
        }
        test_hold.peer_io.shut_out();
        while test_hold.cause().is_none() {
            pass(&server, millis(25)).await;
        }
        assert_eq!((test_hold.cause(), vanished.cause()), (Some("stalled"), Some("idle")));
        assert_in_time(answered, due);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pong_right_after_other_signs_of_life_answers_the_ping() {
    let settings =
        EndpointOptions { timeout: Some(Some(secs(60))), heartbeat: Some(Some(secs(20))), ..STILL };
    let server = TestServer::of(settings);
    let test_hold = server.suspend(WireForm::WebSocket);
    while test_hold.peer_io.text().is_empty() {
        // What it sends comes between the sweep's first step and the look at this hold.
        advance(millis(25)).await;
        server.keeper.time().sweep();
        test_hold.hold.record_received(1, &*test_hold.peer_io);
        server.keeper.sweep();
    }
    test_hold.hold.record_received(2, &*test_hold.peer_io);
    test_hold.hold.next_beat.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
    while test_hold.cause().is_none() {
        pass(&server, millis(25)).await;
    }
    assert_eq!(test_hold.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_between_its_time_and_a_tenth_of_a_second_later() {
    for form in [SSE, WireForm::Stream { chunked: true }, WireForm::WebSocket, WireForm::LongPoll] {
        for phase in (0..30).step_by(3) {
            let server = TestServer::of(timeout(secs(2)));
            let _time = keep_time(&server);
            sleep(millis(1_000 + phase)).await;
            let (test_hold, begun) = (server.suspend(form), Instant::now());
            assert_eq!(test_hold.end().await, "timeout");
            assert_in_time(begun, secs(2));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_touched_in_time_is_kept() {
    let server = TestServer::of(timeout(secs(2)));
    let _time = keep_time(&server);
    let test_hold = server.suspend(SSE);
    let mut touched = Instant::now();
    for phase in 0..30 {
        sleep(millis(1_900 + phase)).await;
        assert_eq!(test_hold.cause(), None);
        test_hold.hold.record_message();
        touched = Instant::now();
    }
    assert_eq!(test_hold.end().await, "timeout");
    assert_in_time(touched, secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_idle_and_one_that_does_is_not() {
    let settings = EndpointOptions { max_idle: Some(Some(secs(9))), heartbeat: Some(Some(secs(3))), ..STILL };
    let server = TestServer::of(settings);
    let _time = keep_time(&server);
    let (dead, alive, begun) =
        (server.suspend(WireForm::WebSocket), server.suspend(WireForm::WebSocket), Instant::now());
    let answering = alive.clone();
    let answers = tokio::spawn(async move {
        loop {
            sleep(millis(10)).await;
            if !answering.peer_io.take_written().is_empty() {
                answering.hold.record_received(6, &*answering.peer_io);
            }
        }
    });
    assert_eq!(dead.end().await, "idle");
    assert_in_time(begun, secs(9));
    sleep(secs(60)).await;
    assert_eq!(alive.cause(), None);
    answers.abort();
}

#[tokio::test(start_paused = true)]
async fn no_heartbeat_is_sent_while_something_waits_or_before_the_head() {
    let server = TestServer::of(EndpointOptions { heartbeat: Some(Some(millis(100))), ..STILL });
    let _time = keep_time(&server);
    let pending = server.seat(server.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    let test_hold = server.suspend(SSE);
    test_hold.peer_io.window(3);
    test_hold.hold.send(&Encoded::new(&Message::from("x")), MessageClass::Direct).unwrap();
    sleep(secs(5)).await;
    assert_eq!((pending.peer_io.text(), test_hold.peer_io.text()), (String::new(), "dat".into()));
    test_hold.peer_io.window(usize::MAX);
    assert!(test_hold.flush().is_ready());
    sleep(millis(250)).await;
    assert!(test_hold.peer_io.text().starts_with("data: x\n\n:\n\n"), "{}", test_hold.peer_io.text());
}

#[tokio::test(start_paused = true)]
async fn a_write_without_progress_is_stalled_at_the_write_deadline() {
    let server = TestServer::of(STILL);
    let _time = keep_time(&server);
    let test_hold = server.suspend(SSE);
    test_hold.peer_io.window(0);
    sleep(secs(100)).await;
    test_hold.hold.send(&Encoded::new(&"long".repeat(5_000).into()), MessageClass::Direct).unwrap();
    sleep(secs(6)).await;
    test_hold.peer_io.window(6 * 512);
    assert!(test_hold.flush().is_pending());
    let progress = Instant::now();
    assert_eq!(test_hold.end().await, "stalled");
    assert_in_time(progress, secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_byte_now_and_then_is_stalled() {
    for pause in [1, 4, 9] {
        let server = TestServer::of(STILL);
        let _time = keep_time(&server);
        let test_hold = server.suspend(SSE);
        test_hold.peer_io.window(0);
        test_hold.hold.send(&Encoded::new(&"long".repeat(5_000).into()), MessageClass::Direct).unwrap();
        let begun = Instant::now();
        while test_hold.cause().is_none() {
            sleep(secs(pause)).await;
            test_hold.peer_io.window(1);
            let _ = test_hold.flush();
            assert!(begun.elapsed() <= secs(20), "a byte every {pause} s is taken for progress");
        }
        assert_eq!(test_hold.cause(), Some("stalled"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_little_but_steadily_is_not_stalled() {
    let server = TestServer::of(STILL);
    let _time = keep_time(&server);
    let test_hold = server.suspend(SSE);
    test_hold.peer_io.window(0);
    test_hold.hold.send(&Encoded::new(&"long".repeat(15_000).into()), MessageClass::Direct).unwrap();
    // A kernel takes more only when much of what it has is gone.
    for _ in 0..12 {
        sleep(secs(9)).await;
        test_hold.peer_io.window(9 * 512);
        let _ = test_hold.flush();
        assert_eq!(test_hold.cause(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_the_server_is_given_back_to_every_clock() {
    for (settings, cause) in [(timeout(secs(20)), "timeout"), (idle(secs(20)), "idle")] {
        let server = TestServer::of(settings);
        let (test_hold, begun) = (server.suspend(SSE), Instant::now());
        pass(&server, secs(5)).await;
        advance(secs(600)).await;
        server.keeper.sweep();
        while test_hold.cause().is_none() {
            pass(&server, millis(25)).await;
        }
        assert_eq!(test_hold.cause(), Some(cause));
        // A sweep may come a little late without a stall: that much of it counts as served.
        assert_in_time(begun, secs(620) - millis(50));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_between_nine_tenths_and_the_whole_of_it() {
    let server = TestServer::of(EndpointOptions { max_lifetime: Some(Some(secs(100))), ..STILL });
    let _time = keep_time(&server);
    let (test_hold, begun) = (server.suspend(SSE), Instant::now());
    assert_eq!(test_hold.end().await, "lifetime");
    assert!(begun.elapsed() >= secs(90) && begun.elapsed() <= secs(100) + millis(100));
}

#[tokio::test(start_paused = true)]
async fn where_no_kernel_tells_of_answers_a_silent_peer_is_left_to_it() {
    let settings = EndpointOptions { max_idle: Some(Some(secs(20))), ..EndpointOptions::NONE };
    let server = TestServer::of(settings);
    let _time = keep_time(&server);
    let (event_source, socket) = (server.suspend(SSE), server.suspend(WireForm::WebSocket));
    event_source.peer_io.answer(Answers::Unknown);
    socket.peer_io.answer(Answers::Unknown);
    assert_eq!(socket.end().await, "idle", "its pongs would be heard");
    sleep(secs(200)).await;
    assert_eq!(event_source.cause(), None);
    // It is given up by keepalive.
    event_source.peer_io.fail(std::io::ErrorKind::TimedOut);
    let _ = event_source.hold.send(&Encoded::new(&"x".into()), MessageClass::Direct);
    assert_eq!(event_source.end().await, "unreachable");
}

#[tokio::test(start_paused = true)]
async fn a_panic_at_one_hold_ends_that_one_and_the_clocks_of_others_go_on() {
    let settings = EndpointOptions {
        heartbeat: Some(Some(secs(1))),
        timeout: Some(Some(secs(5))),
        ..EndpointOptions::NONE
    };
    let server = TestServer::of(settings);
    let _time = keep_time(&server);
    let test_holds = [server.suspend(SSE), server.suspend(SSE), server.suspend(SSE)];
    test_holds[1].peer_io.answer(Answers::Panics);
    assert_eq!(test_holds[1].end().await, "failed");
    for test_hold in [&test_holds[0], &test_holds[2]] {
        assert_eq!(test_hold.end().await, "timeout");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sweep_forgets_is_dropped_on_another_thread_than_that_of_the_clocks() {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, ThreadId};

    use abeyance_core::words::retention::{Pattern, Retention, Rule};

    struct Body(Sender<ThreadId>);
    impl AsRef<[u8]> for Body {
        fn as_ref(&self) -> &[u8] {
            b"x"
        }
    }
    impl Drop for Body {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
            panic!("a destructor, on purpose");
        }
    }
    let keep = Retention::new().age(secs(1));
    let topics = vec![Rule { pattern: Pattern::Name("a".into()), keep }];
    let server = TestServer::new(ServerConfig { topics, ..ServerConfig::default() }, &[timeout(secs(5))]);
    let _time = keep_time(&server);
    let (test_hold, (tell, told)) = (server.suspend(SSE), channel());
    for _ in 0..3 {
        server.keeper.publish("a", &bytes::Bytes::from_owner(Body(tell.clone())).into());
    }
    assert_eq!(test_hold.end().await, "timeout");
    for _ in 0..3 {
        assert_ne!(told.recv_timeout(secs(60)).unwrap(), thread::current().id());
    }
}
