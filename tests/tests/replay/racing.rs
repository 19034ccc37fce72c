//! Coming back while others publish at that very moment, on several threads: no gap, no double.
//!
//! What each side does follows from the run's seed, which a failure tells; how the threads meet does not.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use abeyance::extract::{Query, State};
use abeyance::memory::Dialer;
use abeyance::{Hub, Refuse, Suspend, suspend};
use abeyance_tests::dice::Dice;
use abeyance_tests::guest::Guest;
use abeyance_tests::house::{Asked, Stage, plan};
use abeyance_tests::returning::{Cut, Returning};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{EVERYTHING, Numbers, seconds};

const RUNS: usize = 1_000;
/// How many runs go on at once.
const LANES: usize = 4;

/// Joins the two topics of one run.
#[suspend(path = "/run")]
async fn run(State(stage): State<Stage>, Query(asked): Query<Asked>) -> Result<Suspend<Guest>, Refuse> {
    let topics = ["a", "b"].map(|topic| format!("{}/{topic}", asked["run"]));
    let is_new = asked.contains_key("past");
    let hold = stage.enter(asked).await?;
    Ok(topics.into_iter().fold(hold, |hold, topic| match is_new {
        true => hold.join_with_history(topic),
        false => hold.join(topic),
    }))
}

/// How a client listens.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Events,
    Polls,
    Lines,
    /// It has never been here, and wants the past.
    Newcomer,
}

/// One after the other in no hurry, or as fast as it goes.
async fn dawdle(dice: &mut Dice) {
    match dice.roll(8) {
        0..3 => {}
        3..6 => (0..dice.roll(2_000)).for_each(|_| spin_loop()),
        _ => yield_now().await,
    }
}

fn publishers(hub: &Hub, seed: usize, counts: &[usize]) {
    for (publisher, &count) in counts.iter().enumerate() {
        let hub = hub.clone();
        let mut dice = Dice::new((seed * 10 + publisher) as u64);
        tokio::spawn(async move {
            for number in 0..count {
                dawdle(&mut dice).await;
                let topic = format!("{seed}/{}", dice.pick(&["a", "b"]));
                hub.publish(topic, Numbers::text(publisher, number, dice.roll(100)));
            }
        });
    }
}

async fn race(dialer: &Dialer, hub: &Hub, seed: usize, told: &str) {
    let mut dice = Dice::new(seed as u64);
    let manner = dice.pick(&[Manner::Events, Manner::Polls, Manner::Lines, Manner::Newcomer]);
    let counts: Vec<_> = (0..1 + dice.roll(3)).map(|_| 1 + dice.roll(20)).collect();
    let total = counts.iter().sum();
    let path = |rest: &str| format!("/run?run={seed}&transport={rest}");
    let mut before = Returning::new(dialer, path("sse"));
    if !matches!(manner, Manner::Newcomer) {
        before.listen(usize::MAX, Cut::Reset, |client| client.id.is_some()).await;
    }
    let mut client = match manner {
        Manner::Events => before,
        Manner::Newcomer => Returning::new(dialer, path("sse&past=1")),
        Manner::Polls => Returning::new(dialer, path("long_poll")).with_id(before.id),
        Manner::Lines => Returning::new(dialer, path("long_poll")).with_id(before.id).taking_lines(),
    };
    publishers(hub, seed, &counts);
    dawdle(&mut dice).await;
    while client.got.len() < total {
        match manner {
            Manner::Polls | Manner::Lines => {
                let answer = client.poll().await;
                assert_eq!(answer.head.status, 200, "{told}: {answer:?}");
            }
            Manner::Events | Manner::Newcomer => {
                // Whoever is cut before it has anything is new again, and gets the same.
                let (bytes, cut) = (dice.roll(2_000), dice.pick(&[Cut::Fin, Cut::Reset]));
                client.listen(bytes, cut, |client| client.got.len() == total).await;
            }
        }
        dawdle(&mut dice).await;
    }
    assert_eq!(client.resyncs, 0, "{told}");
    Numbers::assert_all(client.texts(), &counts, told);
    let ids: Vec<_> = client.got.iter().filter_map(|got| got.id.as_deref()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}; {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_back_while_others_publish_misses_nothing_and_gets_nothing_twice() {
    let house = plan().server(|server| server.topic("*", EVERYTHING).mount(run)).open();
    let next = Arc::new(AtomicUsize::new(0));
    let lanes = (0..LANES).map(|_| {
        let (dialer, hub, next) = (house.dialer.clone(), house.hub.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= RUNS {
                    return;
                }
                let told = format!("seed {seed}");
                let race = race(&dialer, &hub, seed, &told);
                timeout(seconds(60), race).await.unwrap_or_else(|_| panic!("it waits in vain; {told}"));
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.expect("a lane without a failure");
    }
    house.close().await;
}
