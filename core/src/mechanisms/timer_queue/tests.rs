//! The timer queue: order, phases, what ends with its topic, and that it does what a plain list would do.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Takes everything that is due and puts it back; gives the jobs in order.
fn run(timers: &mut TimerQueue<&'static str>, now: u64) -> Vec<&'static str> {
    let mut jobs = Vec::new();
    while let Some(due) = timers.take_due(Tick(now)) {
        jobs.push(due.job);
        if due.comes_again {
            timers.put_back(due.number, due.job, Tick(now)).unwrap();
        }
    }
    jobs
}

#[test]
fn what_is_due_together_comes_in_the_order_of_due_times_then_of_scheduling() {
    let mut timers = TimerQueue::new(9);
    for (job, due) in [("d", 30), ("b", 20), ("a", 10), ("c", 20), ("later", 31)] {
        timers.add("topic".into(), Tick(due), None, job).unwrap();
    }
    assert_eq!(timers.next(), Some(Tick(10)));
    assert_eq!(run(&mut timers, 30), ["a", "b", "c", "d"]);
    assert_eq!((timers.next(), timers.len()), (Some(Tick(31)), 1));
    assert_eq!(run(&mut timers, 40), ["later"]);
    assert_eq!((timers.next(), timers.len()), (None, 0));
}

#[test]
fn what_comes_again_keeps_its_phase_and_comes_once_for_all_that_was_missed() {
    let mut timers = TimerQueue::new(9);
    timers.add("topic".into(), Tick(1_000), Some(SECOND), "tick").unwrap();
    for (now, count, next) in [
        (999, 0, 1_000),
        (1_000, 1, 2_000),
        (1_999, 0, 2_000),
        (2_700, 1, 3_000),
        (9_500, 1, 10_000),
        (11_000, 1, 12_000),
    ] {
        assert_eq!(run(&mut timers, now).len(), count, "at {now}");
        assert_eq!(timers.next(), Some(Tick(next)), "after {now}");
    }
}

#[test]
fn what_is_out_is_not_taken_again_and_may_be_cancelled() {
    let mut timers = TimerQueue::new(9);
    let number = timers.add("topic".into(), Tick(1), Some(SECOND), "tick").unwrap();
    let due = timers.take_due(Tick(5_000)).unwrap();
    assert_eq!((timers.take_due(Tick(9_000)), timers.next(), timers.len()), (None, None, 1));
    assert!(timers.is_entered(number));
    assert_eq!(timers.cancel(number).unwrap().job, None, "the publisher that took it has it");
    assert!(!timers.is_entered(number));
    assert_eq!(timers.put_back(number, due.job, Tick(9_000)), Err("tick"));
    assert_eq!(timers.len(), 0);
}

#[test]
fn a_topic_takes_its_own_entries_with_it_and_no_others() {
    let mut timers = TimerQueue::new(9);
    for (topic, job) in [("b", "b1"), ("a", "a"), ("b", "b2"), ("bb", "bb"), ("b", "b3")] {
        timers.add(topic.into(), Tick(1), Some(SECOND), job).unwrap();
    }
    let jobs: Vec<_> = timers.cancel_topic("b").into_iter().filter_map(|entry| entry.job).collect();
    assert_eq!(jobs, ["b1", "b2", "b3"]);
    assert!(timers.cancel_topic("b").is_empty());
    assert_eq!(run(&mut timers, 1), ["a", "bb"]);
}

#[test]
fn what_was_left_ends_with_its_topic_and_what_came_after_waits() {
    let mut timers = TimerQueue::new(9);
    timers.add("news".into(), Tick(1), None, "before").unwrap();
    timers.add("other".into(), Tick(1), None, "other").unwrap();
    assert!(timers.cancel_left("news").is_empty(), "it never had a member");
    timers.leave_topic("news");
    timers.add("news".into(), Tick(1), None, "after").unwrap();
    assert_eq!(timers.cancel_left("news").len(), 1);
    assert_eq!(run(&mut timers, 1), ["other", "after"]);
}

#[test]
fn one_too_many_is_given_back_and_room_is_made_by_each_that_leaves() {
    let mut timers = TimerQueue::new(2);
    let first = timers.add("a".into(), Tick(1), None, "1").unwrap();
    timers.add("b".into(), Tick(2), None, "2").unwrap();
    assert_eq!(timers.add("c".into(), Tick(3), None, "3"), Err("3"));
    assert_eq!(run(&mut timers, 1), ["1"]);
    assert!(timers.cancel(first).is_none(), "it is over");
    timers.add("c".into(), Tick(3), None, "3").unwrap();
    assert_eq!(timers.close().len(), 2);
    assert_eq!(timers.add("d".into(), Tick(4), None, "4"), Err("4"));
    assert_eq!((timers.next(), timers.len()), (None, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Add { topic: usize, delay: u64, period: Option<u64> },
    Cancel(usize),
    CancelTopic(usize),
    LeaveTopic(usize),
    CancelLeft(usize),
    Pass(u64),
    Take,
    PutBack(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3, 0u64..100, prop::option::of(1u64..60))
            .prop_map(|(topic, delay, period)| Step::Add { topic, delay, period }),
        2 => (0usize..20).prop_map(Step::Cancel),
        1 => (0usize..3).prop_map(Step::CancelTopic),
        1 => (0usize..3).prop_map(Step::LeaveTopic),
        1 => (0usize..3).prop_map(Step::CancelLeft),
        4 => (0u64..80).prop_map(Step::Pass),
        6 => Just(Step::Take),
        4 => (0usize..4).prop_map(Step::PutBack),
    ]
}

/// An entry as the simplest of agendas would keep it; its place in the list of all that ever were is its job.
#[derive(Clone, Copy)]
struct Known {
    number: Number,
    topic: usize,
    due: u64,
    period: Option<u64>,
    was_left: bool,
    is_over: bool,
    is_out: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_plain_list_would_do(steps in prop::collection::vec(step(), 0..120)) {
        const TOPICS: [&str; 3] = ["a", "ab", "b"];
        const MOST: usize = 12;
        let mut timers = TimerQueue::new(MOST);
        let mut list: Vec<Known> = Vec::new();
        // Jobs that were taken, to be published.
        let mut out: Vec<usize> = Vec::new();
        let mut now = 0;
        for step in steps {
            let count = list.iter().filter(|known| !known.is_over).count();
            match step {
                Step::Add { topic, delay, period } => {
                    let (due, job) = (now + delay, list.len());
                    let every = period.map(Duration::from_millis);
                    match timers.add(TOPICS[topic].into(), Tick(due), every, job) {
                        Ok(number) => {
                            prop_assert!(count < MOST);
                            let known = Known {
                                number, topic, due, period, was_left: false, is_over: false, is_out: false,
                            };
                            list.push(known);
                        }
                        Err(job) => prop_assert_eq!((job, count), (list.len(), MOST)),
                    }
                }
                Step::Cancel(which) => {
                    let Some(known) = list.get_mut(which) else { continue };
                    let cancelled = timers.cancel(known.number);
                    prop_assert_eq!(cancelled.is_some(), !known.is_over);
                    if let Some(entry) = cancelled {
                        prop_assert_eq!(entry.job, (!known.is_out).then_some(which));
                    }
                    known.is_over = true;
                }
                Step::CancelTopic(topic) => {
                    let is_theirs = |known: &&mut Known| known.topic == topic && !known.is_over;
                    let theirs = list.iter_mut().filter(is_theirs);
                    let count = theirs.map(|known| known.is_over = true).count();
                    prop_assert_eq!(timers.cancel_topic(TOPICS[topic]).len(), count);
                }
                Step::LeaveTopic(topic) => {
                    timers.leave_topic(TOPICS[topic]);
                    let theirs = list.iter_mut().filter(|known| known.topic == topic);
                    theirs.for_each(|known| known.was_left = true);
                }
                Step::CancelLeft(topic) => {
                    let is_left = |known: &&mut Known| known.topic == topic && known.was_left && !known.is_over;
                    let left = list.iter_mut().filter(is_left);
                    let count = left.map(|known| known.is_over = true).count();
                    prop_assert_eq!(timers.cancel_left(TOPICS[topic]).len(), count);
                }
                Step::Pass(span) => now += span,
                Step::Take => {
                    let is_due = |known: &Known| !known.is_over && !known.is_out && known.due <= now;
                    let waiting = list.iter().enumerate().filter(|(_, known)| is_due(known));
                    let first = waiting.min_by_key(|(job, known)| (known.due, *job)).map(|(job, _)| job);
                    let due = timers.take_due(Tick(now));
                    prop_assert_eq!(due.as_ref().map(|due| due.job), first);
                    let Some(due) = due else { continue };
                    let known = &mut list[due.job];
                    prop_assert_eq!((due.number, due.topic.as_str()), (known.number, TOPICS[known.topic]));
                    prop_assert_eq!(due.comes_again, known.period.is_some());
                    (known.is_over, known.is_out) = (!due.comes_again, due.comes_again);
                    if due.comes_again {
                        out.push(due.job);
                    }
                }
                Step::PutBack(which) => {
                    if which >= out.len() {
                        continue;
                    }
                    let job = out.remove(which);
                    let known = &mut list[job];
                    let back = timers.put_back(known.number, job, Tick(now));
                    prop_assert_eq!(back.is_ok(), !known.is_over);
                    known.is_out = false;
                    while known.due <= now {
                        known.due += known.period.expect("it comes again");
                    }
                }
            }
            let waiting = list.iter().filter(|known| !known.is_over && !known.is_out);
            prop_assert_eq!(timers.next(), waiting.map(|known| Tick(known.due)).min());
            prop_assert_eq!(timers.len(), list.iter().filter(|known| !known.is_over).count());
            for known in &list {
                prop_assert_eq!(timers.is_entered(known.number), !known.is_over);
            }
            prop_assert_eq!(timers.topics.len(), timers.len());
        }
    }
}
