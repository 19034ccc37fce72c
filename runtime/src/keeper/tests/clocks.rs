//! The clocks over served time: what falls due, when, and for what.

use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::keeper::outbox::MessageClass;
use abeyance_core::mechanisms::wire::Encoded;
use abeyance_core::words::message::Message;

/// Has the keeper keep time until the set is dropped.
#[must_use]
fn keep_time(house: &TestKeeper) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(house.keeper.clone().keep_time());
    tasks
}

/// Moves time on in steps that are no stall, with a sweep after each.
async fn pass(house: &TestKeeper, span: Duration) {
    let mut left = span;
    while !left.is_zero() {
        let step = left.min(millis(25));
        advance(step).await;
        left -= step;
        house.keeper.sweep();
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
    let house = TestKeeper::of(timeout(secs(30)));
    let _time = keep_time(&house);
    let (first, second) = (house.suspend(SSE), house.suspend(SSE));
    sleep(secs(10)).await;
    first.hold.note_activity();
    assert_eq!(second.end().await, "timeout");
    sleep(secs(15)).await;
    assert_eq!(first.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn silence_while_blocked_and_deaf_at_once_is_given_back_once() {
    let house = TestKeeper::of(idle(secs(20)));
    let _time = keep_time(&house);
    let guest = house.suspend(SSE);
    let begun = Instant::now();
    sleep(secs(15)).await;
    guest.line.window(0);
    guest.hold.pause_reads();
    guest.hold.send(&Encoded::new(&"x".into()), MessageClass::Direct).unwrap();
    sleep(secs(4)).await;
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    guest.hold.resume_reads();
    assert_eq!(guest.end().await, "idle");
    assert_in_time(begun, secs(24));
}

#[tokio::test(start_paused = true)]
async fn silence_is_given_back_whole_although_a_blocked_write_made_progress() {
    let house = TestKeeper::of(idle(secs(20)));
    let _time = keep_time(&house);
    let guest = house.suspend(SSE);
    let begun = Instant::now();
    sleep(secs(10)).await;
    guest.line.window(0);
    guest.hold.send(&Encoded::new(&"long".repeat(5_000).into()), MessageClass::Direct).unwrap();
    for _ in 0..3 {
        sleep(secs(5)).await;
        guest.line.window(5 * 512);
        assert!(guest.flush().is_pending());
    }
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    assert_eq!(guest.end().await, "idle");
    assert_in_time(begun, secs(35));
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_life_while_we_do_not_read_makes_no_clock_late() {
    let house = TestKeeper::of(idle(secs(20)));
    let _time = keep_time(&house);
    let guest = house.suspend(SSE);
    guest.hold.pause_reads();
    // Past the look that was armed when it began: the next one is armed while deaf.
    sleep(secs(19)).await;
    guest.hold.note_life();
    sleep(secs(3)).await;
    guest.hold.resume_reads();
    let heard = Instant::now();
    assert_eq!(guest.end().await, "idle");
    assert_in_time(heard, secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_shorter_than_a_tick_does_not_keep_the_sweep_forever() {
    let house = TestKeeper::of(EndpointOptions { timeout: Some(Some(millis(2))), ..EndpointOptions::NONE });
    let guest = house.suspend(SSE);
    pass(&house, millis(1)).await;
    pass(&house, millis(100)).await;
    assert!(guest.cause().is_some());
}

#[tokio::test(start_paused = true)]
async fn activity_before_a_late_sweep_is_not_dated_early() {
    let house = TestKeeper::of(timeout(secs(2)));
    let guest = house.suspend(SSE);
    pass(&house, millis(100)).await;
    advance(millis(900)).await;
    guest.hold.note_activity();
    let active = Instant::now();
    while guest.cause().is_none() {
        pass(&house, millis(25)).await;
    }
    assert_in_time(active, secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_span_that_begins_within_a_millisecond_is_not_cut_short() {
    let house = TestKeeper::of(timeout(millis(50)));
    tokio::time::advance(Duration::from_micros(24_900)).await;
    house.keeper.sweep();
    let guest = house.suspend(SSE);
    let begun = Instant::now();
    advance(Duration::from_micros(25_100)).await;
    house.keeper.sweep();
    advance(Duration::from_micros(24_000)).await;
    house.keeper.sweep();
    assert_eq!(guest.cause(), None, "after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_a_stall_still_answers_the_heartbeat_before_it() {
    let settings =
        EndpointOptions { timeout: Some(Some(secs(60))), heartbeat: Some(Some(secs(20))), ..STILL };
    let house = TestKeeper::of(settings);
    let guest = house.suspend(SSE);
    let beats = |guest: &TestHold| guest.line.text().matches(':').count();
    while beats(&guest) < 2 {
        pass(&house, millis(25)).await;
    }
    let answered = Instant::now() + millis(1);
    advance(millis(1)).await;
    guest.line.answer(Answers::Last(answered));
    // No further answer is needed: none is asked for.
    advance(secs(600)).await;
    house.keeper.sweep();
    while guest.cause().is_none() {
        guest.hold.next_beat.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        pass(&house, millis(25)).await;
    }
    assert_eq!(guest.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_dated_a_little_early_by_a_coarse_kernel_is_an_answer() {
    let settings =
        EndpointOptions { timeout: Some(Some(secs(60))), heartbeat: Some(Some(secs(20))), ..STILL };
    let house = TestKeeper::of(settings);
    let guest = house.suspend(SSE);
    let beats = |guest: &TestHold| guest.line.text().matches(':').count();
    while beats(&guest) < 2 {
        pass(&house, millis(25)).await;
    }
    guest.line.answer(Answers::Last(Instant::now() - millis(4)));
    while guest.cause().is_none() {
        guest.hold.next_beat.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        pass(&house, millis(25)).await;
    }
    assert_eq!(guest.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_of_what_our_kernel_has_is_stalled_and_not_idle() {
    for (max_idle, due) in [(secs(4), secs(10)), (secs(40), secs(40))] {
        let settings =
            EndpointOptions { max_idle: Some(Some(max_idle)), heartbeat: Some(Some(secs(1))), ..STILL };
        let house = TestKeeper::of(settings);
        let (guest, vanished) = (house.suspend(SSE), house.suspend(SSE));
        pass(&house, secs(1)).await;
        let answered = Instant::now();
        for line in [&guest.line, &vanished.line] {
            line.answer(Answers::Last(answered));
        }
        guest.line.shut_out();
        while guest.cause().is_none() {
            pass(&house, millis(25)).await;
        }
        assert_eq!((guest.cause(), vanished.cause()), (Some("stalled"), Some("idle")));
        assert_in_time(answered, due);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pong_right_after_other_signs_of_life_answers_the_ping() {
    let settings =
        EndpointOptions { timeout: Some(Some(secs(60))), heartbeat: Some(Some(secs(20))), ..STILL };
    let house = TestKeeper::of(settings);
    let guest = house.suspend(WireForm::WebSocket);
    while guest.line.text().is_empty() {
        // What it sends comes between the sweep's first step and the look at this hold.
        advance(millis(25)).await;
        house.keeper.time().sweep();
        guest.hold.note_received(1, &*guest.line);
        house.keeper.sweep();
    }
    guest.hold.note_received(2, &*guest.line);
    guest.hold.next_beat.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
    while guest.cause().is_none() {
        pass(&house, millis(25)).await;
    }
    assert_eq!(guest.cause(), Some("timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_between_its_time_and_a_tenth_of_a_second_later() {
    for form in [SSE, WireForm::Stream { chunked: true }, WireForm::WebSocket, WireForm::LongPoll] {
        for phase in (0..30).step_by(3) {
            let house = TestKeeper::of(timeout(secs(2)));
            let _time = keep_time(&house);
            sleep(millis(1_000 + phase)).await;
            let (guest, begun) = (house.suspend(form), Instant::now());
            assert_eq!(guest.end().await, "timeout");
            assert_in_time(begun, secs(2));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_touched_in_time_is_kept() {
    let house = TestKeeper::of(timeout(secs(2)));
    let _time = keep_time(&house);
    let guest = house.suspend(SSE);
    let mut touched = Instant::now();
    for phase in 0..30 {
        sleep(millis(1_900 + phase)).await;
        assert_eq!(guest.cause(), None);
        guest.hold.note_message();
        touched = Instant::now();
    }
    assert_eq!(guest.end().await, "timeout");
    assert_in_time(touched, secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_idle_and_one_that_does_is_not() {
    let settings = EndpointOptions { max_idle: Some(Some(secs(9))), heartbeat: Some(Some(secs(3))), ..STILL };
    let house = TestKeeper::of(settings);
    let _time = keep_time(&house);
    let (dead, alive, begun) =
        (house.suspend(WireForm::WebSocket), house.suspend(WireForm::WebSocket), Instant::now());
    let answering = alive.clone();
    let answers = tokio::spawn(async move {
        loop {
            sleep(millis(10)).await;
            if !answering.line.take_written().is_empty() {
                answering.hold.note_received(6, &*answering.line);
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
    let house = TestKeeper::of(EndpointOptions { heartbeat: Some(Some(millis(100))), ..STILL });
    let _time = keep_time(&house);
    let opening = house.seat(house.admit(0, 1).unwrap(), 0, SSE, None).unwrap();
    let guest = house.suspend(SSE);
    guest.line.window(3);
    guest.hold.send(&Encoded::new(&Message::from("x")), MessageClass::Direct).unwrap();
    sleep(secs(5)).await;
    assert_eq!((opening.line.text(), guest.line.text()), (String::new(), "dat".into()));
    guest.line.window(usize::MAX);
    assert!(guest.flush().is_ready());
    sleep(millis(250)).await;
    assert!(guest.line.text().starts_with("data: x\n\n:\n\n"), "{}", guest.line.text());
}

#[tokio::test(start_paused = true)]
async fn a_write_without_progress_is_stalled_at_the_write_deadline() {
    let house = TestKeeper::of(STILL);
    let _time = keep_time(&house);
    let guest = house.suspend(SSE);
    guest.line.window(0);
    sleep(secs(100)).await;
    guest.hold.send(&Encoded::new(&"long".repeat(5_000).into()), MessageClass::Direct).unwrap();
    sleep(secs(6)).await;
    guest.line.window(6 * 512);
    assert!(guest.flush().is_pending());
    let progress = Instant::now();
    assert_eq!(guest.end().await, "stalled");
    assert_in_time(progress, secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_byte_now_and_then_is_stalled() {
    for pause in [1, 4, 9] {
        let house = TestKeeper::of(STILL);
        let _time = keep_time(&house);
        let guest = house.suspend(SSE);
        guest.line.window(0);
        guest.hold.send(&Encoded::new(&"long".repeat(5_000).into()), MessageClass::Direct).unwrap();
        let begun = Instant::now();
        while guest.cause().is_none() {
            sleep(secs(pause)).await;
            guest.line.window(1);
            let _ = guest.flush();
            assert!(begun.elapsed() <= secs(20), "a byte every {pause} s is taken for progress");
        }
        assert_eq!(guest.cause(), Some("stalled"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_little_but_steadily_is_not_stalled() {
    let house = TestKeeper::of(STILL);
    let _time = keep_time(&house);
    let guest = house.suspend(SSE);
    guest.line.window(0);
    guest.hold.send(&Encoded::new(&"long".repeat(15_000).into()), MessageClass::Direct).unwrap();
    // A kernel takes more only when much of what it has is gone.
    for _ in 0..12 {
        sleep(secs(9)).await;
        guest.line.window(9 * 512);
        let _ = guest.flush();
        assert_eq!(guest.cause(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_the_server_is_given_back_to_every_clock() {
    for (settings, cause) in [(timeout(secs(20)), "timeout"), (idle(secs(20)), "idle")] {
        let house = TestKeeper::of(settings);
        let (guest, begun) = (house.suspend(SSE), Instant::now());
        pass(&house, secs(5)).await;
        advance(secs(600)).await;
        house.keeper.sweep();
        while guest.cause().is_none() {
            pass(&house, millis(25)).await;
        }
        assert_eq!(guest.cause(), Some(cause));
        // A sweep may come a little late without a stall: that much of it counts as served.
        assert_in_time(begun, secs(620) - millis(50));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_between_nine_tenths_and_the_whole_of_it() {
    let house = TestKeeper::of(EndpointOptions { max_lifetime: Some(Some(secs(100))), ..STILL });
    let _time = keep_time(&house);
    let (guest, begun) = (house.suspend(SSE), Instant::now());
    assert_eq!(guest.end().await, "lifetime");
    assert!(begun.elapsed() >= secs(90) && begun.elapsed() <= secs(100) + millis(100));
}

#[tokio::test(start_paused = true)]
async fn where_no_kernel_tells_of_answers_a_silent_peer_is_left_to_it() {
    let settings = EndpointOptions { max_idle: Some(Some(secs(20))), ..EndpointOptions::NONE };
    let house = TestKeeper::of(settings);
    let _time = keep_time(&house);
    let (event_source, socket) = (house.suspend(SSE), house.suspend(WireForm::WebSocket));
    event_source.line.answer(Answers::Unknown);
    socket.line.answer(Answers::Unknown);
    assert_eq!(socket.end().await, "idle", "its pongs would be heard");
    sleep(secs(200)).await;
    assert_eq!(event_source.cause(), None);
    // It is given up by keepalive.
    event_source.line.fail(std::io::ErrorKind::TimedOut);
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
    let house = TestKeeper::of(settings);
    let _time = keep_time(&house);
    let guests = [house.suspend(SSE), house.suspend(SSE), house.suspend(SSE)];
    guests[1].line.answer(Answers::Panics);
    assert_eq!(guests[1].end().await, "failed");
    for guest in [&guests[0], &guests[2]] {
        assert_eq!(guest.end().await, "timeout");
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
    let house = TestKeeper::new(ServerConfig { topics, ..ServerConfig::default() }, &[timeout(secs(5))]);
    let _time = keep_time(&house);
    let (guest, (tell, told)) = (house.suspend(SSE), channel());
    for _ in 0..3 {
        house.keeper.publish("a", &bytes::Bytes::from_owner(Body(tell.clone())).into());
    }
    assert_eq!(guest.end().await, "timeout");
    for _ in 0..3 {
        assert_ne!(told.recv_timeout(secs(60)).unwrap(), thread::current().id());
    }
}
