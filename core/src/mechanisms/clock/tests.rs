//! What is due, and when, of clocks over ticks.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn clocks() -> Clocks {
    Clocks {
        timeout: Some(30 * SECOND),
        max_idle: Some(300 * SECOND),
        heartbeat: Some(10 * SECOND),
        write_timeout: 10 * SECOND,
        beats: Beats::Ours,
    }
}

fn signs() -> Signs {
    Signs {
        activity: Tick(0),
        life: Tick(0),
        beat: Tick(0),
        next_beat: Tick(4_000),
        expires: Tick::NEVER,
        blocked: None,
        unreadable_since: None,
        answer: None,
    }
}

#[test]
fn a_quiet_hold_rests_until_its_next_heartbeat() {
    assert_eq!(clocks().judge(&signs(), Tick(0)), Due::Rest(Tick(4_000)));
    assert_eq!(clocks().judge(&signs(), Tick(4_000)), Due::Beat);
}

#[test]
fn a_peer_that_answers_is_resumed_at_its_timeout() {
    let signs = Signs { beat: Tick(24_000), life: Tick(24_010), next_beat: Tick(34_000), ..signs() };
    assert_eq!(clocks().judge(&signs, Tick(29_999)), Due::Rest(Tick(30_000)));
    assert_eq!(clocks().judge(&signs, Tick(30_000)), Due::End(Resume::Timeout.into()));
}

#[test]
fn a_timeout_behind_an_unanswered_heartbeat_is_idle() {
    let sent_long_ago = Signs { beat: Tick(23_000), life: Tick(20_000), ..signs() };
    assert_eq!(clocks().judge(&sent_long_ago, Tick(30_000)), Due::End(Disconnect::Idle.into()));
    let sent_just_now = Signs { beat: Tick(29_000), life: Tick(20_000), ..signs() };
    assert_eq!(clocks().judge(&sent_just_now, Tick(30_000)), Due::End(Resume::Timeout.into()));
}

#[test]
fn an_unanswered_probe_of_the_kernel_counts_like_a_heartbeat() {
    let clocks = Clocks { beats: Beats::Kernel, ..clocks() };
    let answered = Signs { life: Tick(29_000), ..signs() };
    assert_eq!(clocks.judge(&answered, Tick(30_000)), Due::End(Resume::Timeout.into()));
    let silent = Signs { life: Tick(10_000), ..signs() };
    assert_eq!(clocks.judge(&silent, Tick(30_000)), Due::End(Disconnect::Idle.into()));
}

#[test]
fn a_kernel_is_not_expected_to_probe_more_than_once_a_second() {
    let (timeout, heartbeat) = (Some(2 * SECOND), Some(SECOND / 2));
    let clocks = Clocks { beats: Beats::Kernel, timeout, heartbeat, ..clocks() };
    let answered = Signs { life: Tick(1_000), ..signs() };
    assert_eq!(clocks.judge(&answered, Tick(2_000)), Due::End(Resume::Timeout.into()));
    assert_eq!(clocks.judge(&signs(), Tick(2_000)), Due::Rest(Tick(3_000)), "it is too early to tell");
    assert_eq!(clocks.judge(&signs(), Tick(8_000)), Due::End(Disconnect::Idle.into()));
}

#[test]
fn a_timeout_waits_for_an_answer_that_may_have_been_lost_and_no_longer_than_that_proves_something() {
    let ours = Clocks { heartbeat: Some(SECOND), ..clocks() };
    let sent = Signs { beat: Tick(28_000), life: Tick(27_500), next_beat: Tick(29_000), ..signs() };
    assert_eq!(ours.judge(&sent, Tick(30_000)), Due::Rest(Tick(31_000)));
    assert_eq!(ours.judge(&sent, Tick(34_999)), Due::Rest(Tick(35_999)));
    assert_eq!(ours.judge(&sent, Tick(35_000)), Due::End(Disconnect::Idle.into()));
    let answered = Signs { life: Tick(30_700), ..sent };
    assert_eq!(ours.judge(&answered, Tick(31_000)), Due::End(Resume::Timeout.into()));
    let idle_before = Clocks { max_idle: Some(3 * SECOND), ..ours };
    assert_eq!(idle_before.judge(&sent, Tick(30_000)), Due::Rest(Tick(30_500)));
    let kernel = Clocks { beats: Beats::Kernel, ..ours };
    let silent = Signs { life: Tick(27_000), ..signs() };
    assert_eq!(kernel.judge(&silent, Tick(30_000)), Due::Rest(Tick(31_000)));
    assert_eq!(kernel.judge(&silent, Tick(35_000)), Due::End(Disconnect::Idle.into()));
    let expiring = Signs { expires: Tick(29_900), ..sent };
    assert_eq!(ours.judge(&expiring, Tick(29_900)), Due::Rest(Tick(30_900)));
}

#[test]
fn silence_for_max_idle_is_idle() {
    let clocks = Clocks { timeout: None, heartbeat: None, ..clocks() };
    assert_eq!(clocks.judge(&signs(), Tick(299_999)), Due::Rest(Tick(300_000)));
    assert_eq!(clocks.judge(&signs(), Tick(300_000)), Due::End(Disconnect::Idle.into()));
}

#[test]
fn max_idle_stands_still_while_we_do_not_read() {
    let clocks = Clocks { timeout: None, heartbeat: None, ..clocks() };
    let unread = Signs { unreadable_since: Some(Tick(200_000)), ..signs() };
    assert_eq!(clocks.judge(&unread, Tick(900_000)), Due::Rest(Tick(1_000_000)));
}

#[test]
fn a_write_without_progress_is_stalled_no_matter_what_else_is_due() {
    let since = Some(Tick(20_000));
    let blocked = Signs { blocked: since, unreadable_since: since, ..signs() };
    assert_eq!(clocks().judge(&blocked, Tick(30_000)), Due::End(Disconnect::Stalled.into()));
}

#[test]
fn the_lifetime_ends_a_busy_hold() {
    let signs = Signs { activity: Tick(59_000), life: Tick(59_000), expires: Tick(60_000), ..signs() };
    assert_eq!(clocks().judge(&signs, Tick(60_000)), Due::End(Resume::Lifetime.into()));
}

#[test]
fn max_idle_goes_on_where_even_the_kernel_is_silent() {
    let clocks = Clocks { timeout: None, ..clocks() };
    let since = Some(Tick(100_000));
    let unread = Signs { unreadable_since: since, next_beat: Tick::NEVER, ..signs() };
    let answered = |at| Signs { answer: Some(Tick(at)), ..unread };
    assert_eq!(clocks.judge(&answered(150_000), Tick(449_999)), Due::Rest(Tick(450_000)));
    assert_eq!(clocks.judge(&answered(150_000), Tick(450_000)), Due::End(Disconnect::Idle.into()));
    assert_eq!(clocks.judge(&unread, Tick(450_000)), Due::Rest(Tick(650_000)), "it cannot be known");
    let unasked = Clocks { heartbeat: None, ..clocks };
    assert_eq!(unasked.judge(&answered(150_000), Tick(450_000)), Due::Rest(Tick(650_000)));
}

#[test]
fn a_peer_that_takes_nothing_answers_in_growing_intervals_and_is_not_idle() {
    let clocks = Clocks {
        timeout: None,
        max_idle: Some(2 * SECOND),
        heartbeat: Some(SECOND / 2),
        write_timeout: 60 * SECOND,
        beats: Beats::Ours,
    };
    let since = Some(Tick(10_000));
    let blocked = |answer| Signs {
        blocked: since,
        unreadable_since: since,
        life: Tick(10_000),
        next_beat: Tick::NEVER,
        answer: Some(Tick(answer)),
        ..signs()
    };
    // When a kernel whose timers are an eighth late asks, and has its answer 0.3 s later.
    let (mut asked, mut interval) = (10_000, 225);
    while asked + interval < 70_000 {
        let signs = blocked(asked);
        asked += interval;
        let due = clocks.judge(&signs, Tick(asked + 300));
        assert!(!matches!(due, Due::End(_)), "{due:?} at {asked}");
        interval *= 2;
    }
    // The next one, after 3 s, is not answered.
    let Due::Rest(at) = clocks.judge(&blocked(13_000), Tick(14_000)) else { panic!("not yet") };
    assert_eq!(at, Tick(18_000));
    assert_eq!(clocks.judge(&blocked(13_000), at), Due::End(Disconnect::Idle.into()));
}

#[test]
fn a_write_deadline_of_a_host_that_answers_no_more_is_unreachable() {
    let since = Some(Tick(20_000));
    let blocked = Signs { blocked: since, unreadable_since: since, ..signs() };
    let at = |answer| clocks().judge(&Signs { answer: Some(Tick(answer)), ..blocked }, Tick(30_000));
    assert_eq!(at(19_999), Due::End(Disconnect::Unreachable.into()));
    assert_eq!(at(23_000), Due::End(Disconnect::Unreachable.into()), "the next probe was not answered");
    assert_eq!(at(26_200), Due::End(Disconnect::Stalled.into()));
    let hasty = Clocks { write_timeout: SECOND / 2, ..clocks() };
    let due = hasty.judge(&Signs { answer: since, ..blocked }, Tick(20_500));
    assert_eq!(due, Due::End(Disconnect::Stalled.into()), "that early it cannot be told");
}

#[test]
fn a_timeout_of_a_host_that_is_silent_while_we_do_not_read_is_idle() {
    let unread = Signs { unreadable_since: Some(Tick(5_000)), ..signs() };
    let at = |answer| clocks().judge(&Signs { answer, ..unread }, Tick(30_000));
    assert_eq!(at(None), Due::End(Resume::Timeout.into()));
    assert_eq!(at(Some(Tick(20_000))), Due::End(Resume::Timeout.into()));
    assert_eq!(at(Some(Tick(14_000))), Due::Rest(Tick(31_000)), "it is too early to tell");
    assert_eq!(at(Some(Tick(13_000))), Due::End(Disconnect::Idle.into()));
}

#[test]
fn a_long_poll_is_not_idle_before_its_kernel_could_be_probed_twice() {
    let tiny = Clocks {
        timeout: None,
        max_idle: Some(SECOND),
        heartbeat: Some(SECOND / 3),
        beats: Beats::Kernel,
        ..clocks()
    };
    assert_eq!(tiny.judge(&signs(), Tick(1_999)), Due::Rest(Tick(2_000)));
    assert_eq!(tiny.judge(&signs(), Tick(2_000)), Due::End(Disconnect::Idle.into()));
}

#[test]
fn a_kernel_probes_in_time_and_gives_up_behind_every_clock_of_ours() {
    let span = |seconds: f64| Some(Duration::from_secs_f64(seconds)).filter(|span| !span.is_zero());
    for max_idle in [0.0, 0.5, 1.0, 2.0, 10.0, 300.0] {
        for heartbeat in [0.0, 0.1, 0.7, 1.9, 9.0, 25.0, 290.0] {
            for write_timeout in [0.3, 10.0, 600.0] {
                let clocks = Clocks {
                    timeout: None,
                    max_idle: span(max_idle),
                    heartbeat: span(heartbeat),
                    write_timeout: Duration::from_secs_f64(write_timeout),
                    beats: Beats::Kernel,
                };
                let KeepaliveProbes { every, again, give_up } = clocks.probing();
                let case = format!("{clocks:?}: {every:?}, {again:?}, {give_up:?}");
                assert!(again >= SECOND && again <= every, "{case}");
                assert!(every >= SECOND, "{case}");
                assert!(give_up >= clocks.write_timeout + SECOND, "{case}");
                let Some(max_idle) = clocks.max_idle else { continue };
                let idle = clocks.least_silence(max_idle);
                assert!(give_up >= idle + SECOND, "{case}");
                if clocks.heartbeat.is_some() {
                    // With the whole seconds and the timers of a kernel, and a while for the answer.
                    let silence = every.as_secs_f64() * 1.125 + 0.2;
                    assert!(silence < idle.as_secs_f64(), "{case}");
                }
            }
        }
    }
}
