//! Coming back while others publish at that very moment, on several threads: no gap, no double.
//!
//! What each side does follows from the run's seed, which a failure tells; how the threads meet does not.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use abeyance::extract::{Query, State};
use abeyance::memory::Dialer;
use abeyance::{Hub, Refusal, Suspend, suspend};
use abeyance_tests::dice::Dice;
use abeyance_tests::returning_client::{Cut, ReturningClient};
use abeyance_tests::test_context::TestContext;
use abeyance_tests::test_server::{QueryParams, TestEndpoint, test_server};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use super::{EVERYTHING, Numbers, seconds};

/// How many runs go on at once.
const LANES: usize = 4;

/// Joins the two topics of one run.
#[suspend(path = "/run")]
async fn run(
    State(endpoint): State<TestEndpoint>,
    Query(asked): Query<QueryParams>,
) -> Result<Suspend<TestContext>, Refusal> {
    let topics = ["a", "b"].map(|topic| format!("{}/{topic}", asked["run"]));
    let is_new = asked.contains_key("past");
    let hold = endpoint.hold(asked).await?;
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

fn publishers(hub: &Hub, seed: usize, counts: &[usize]) -> Vec<JoinHandle<()>> {
    let publish = |(publisher, &count): (usize, &usize)| {
        let hub = hub.clone();
        let mut dice = Dice::new((seed * 10 + publisher) as u64);
        tokio::spawn(async move {
            for number in 0..count {
                dawdle(&mut dice).await;
                let topic = format!("{seed}/{}", dice.pick(&["a", "b"]));
                hub.publish(topic, Numbers::text(publisher, number, dice.roll(100)));
            }
        })
    };
    counts.iter().enumerate().map(publish).collect()
}

/// Everything is kept, so the client must get all of it.
async fn race(dialer: &Dialer, hub: &Hub, seed: usize, told: &str) -> usize {
    let mut dice = Dice::new(seed as u64);
    let manner = dice.pick(&[Manner::Events, Manner::Polls, Manner::Lines, Manner::Newcomer]);
    let counts: Vec<_> = (0..1 + dice.roll(3)).map(|_| 1 + dice.roll(20)).collect();
    let total = counts.iter().sum();
    let path = |rest: &str| format!("/run?run={seed}&transport={rest}");
    let mut before = ReturningClient::new(dialer, path("sse"));
    if !matches!(manner, Manner::Newcomer) {
        before.listen(usize::MAX, Cut::Reset, |client| client.id.is_some()).await;
    }
    let mut client = match manner {
        Manner::Events => before,
        Manner::Newcomer => ReturningClient::new(dialer, path("sse&past=1")),
        Manner::Polls => ReturningClient::new(dialer, path("long_poll")).with_id(before.id),
        Manner::Lines => ReturningClient::new(dialer, path("long_poll")).with_id(before.id).taking_lines(),
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
                // A client that is cut before it has a message is new again, and gets the same.
                let (bytes, cut) = (dice.roll(2_000), dice.pick(&[Cut::Fin, Cut::Reset]));
                client.listen(bytes, cut, |client| client.got.len() == total).await;
            }
        }
        dawdle(&mut dice).await;
    }
    assert_eq!(client.resyncs, 0, "{told}");
    Numbers::assert_all(client.texts(), &counts, told);
    assert!(client.offsets().is_sorted_by(|one, next| one < next), "{:?}; {told}", client.offsets());
    client.resyncs
}

/// Few messages are kept, so that some are gone when the client comes back.
async fn race_for_few(dialer: &Dialer, hub: &Hub, seed: usize, told: &str) -> usize {
    let mut dice = Dice::new(seed as u64);
    let counts: Vec<_> = (0..1 + dice.roll(3)).map(|_| 10 + dice.roll(30)).collect();
    let path = |transport: &str| format!("/run?run={seed}&transport={transport}");
    let mut before = ReturningClient::new(dialer, path("sse"));
    before.listen(usize::MAX, Cut::Reset, |client| client.id.is_some()).await;
    let polls = dice.one_in(2);
    let path = path(if polls { "long_poll" } else { "sse" });
    let mut client = ReturningClient::new(dialer, path).with_id(before.id);
    let has_end = |client: &ReturningClient| client.got.last().is_some_and(|got| got.text == "end");
    let working = publishers(hub, seed, &counts);
    let come_back = async {
        while !has_end(&client) {
            dawdle(&mut dice).await;
            if polls {
                client.poll().await;
            } else {
                let (bytes, cut) = (dice.roll(1_000), dice.pick(&[Cut::Fin, Cut::Reset]));
                client.listen(bytes, cut, has_end).await;
            }
        }
    };
    let end = async {
        for publisher in working {
            publisher.await.expect("it publishes");
        }
        loop {
            hub.publish(format!("{seed}/a"), "end");
            // Not faster than a client reads that does nothing else.
            for _ in 0..100 {
                yield_now().await;
            }
        }
    };
    tokio::select! {
        () = come_back => {}
        () = end => {}
    }
    client.got.retain(|got| got.text != "end");
    assert_gaps_are_told(&client, &counts, told);
    client.resyncs
}

/// Fails where a client got something twice or too early, or did not get something without a word of it.
fn assert_gaps_are_told(client: &ReturningClient, counts: &[usize], told: &str) {
    // Of each publisher: the next message, and where in all the one before it stands.
    let mut next = vec![(0, 0); counts.len()];
    let was_told = |from: usize, to: usize| client.resynced_at.iter().any(|at| (from..=to).contains(at));
    for (place, text) in client.texts().into_iter().enumerate() {
        let mut numbers = text.split('.').map_while(|part| part.parse::<usize>().ok());
        let (Some(publisher), Some(number)) = (numbers.next(), numbers.next()) else {
            panic!("{text}; {told}")
        };
        let (expected, since) = next[publisher];
        assert!(number >= expected, "message {place} is {text:.9}, not {expected}; {told}");
        let is_next = number == expected;
        assert!(is_next || was_told(since, place), "message {place} is {text:.9}, not {expected}; {told}");
        next[publisher] = (number + 1, place + 1);
    }
    for ((next, since), count) in next.into_iter().zip(counts) {
        assert!(next == *count || was_told(since, client.got.len()), "{next} of {count} came; {told}");
    }
}

/// Has all runs go on, some at once; gives what they came to, added up.
async fn run_all<F>(runs: usize, race: impl Fn(usize, String) -> F + Send + Clone + 'static) -> usize
where
    F: Future<Output = usize> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let lanes = (0..LANES).map(|_| {
        let (next, race) = (next.clone(), race.clone());
        tokio::spawn(async move {
            let mut sum = 0;
            loop {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= runs {
                    return sum;
                }
                let told = format!("seed {seed}");
                let race = timeout(seconds(60), race(seed, told.clone()));
                sum += race.await.unwrap_or_else(|_| panic!("it waits in vain; {told}"));
            }
        })
    });
    let mut sum = 0;
    for lane in lanes.collect::<Vec<_>>() {
        sum += lane.await.expect("a lane without a failure");
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_comes_back_while_others_publish_gets_each_message_once() {
    let server = test_server().server(|server| server.topic("*", EVERYTHING).mount(run)).start();
    let (dialer, hub) = (server.dialer.clone(), server.hub.clone());
    let race = move |seed, told: String| {
        let (dialer, hub) = (dialer.clone(), hub.clone());
        async move { race(&dialer, &hub, seed, &told).await }
    };
    run_all(1_000, race).await;
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_comes_back_while_others_publish_is_told_of_every_gap() {
    let few = EVERYTHING.count(3);
    let server = test_server().server(|server| server.topic("*", few).mount(run)).start();
    let (dialer, hub) = (server.dialer.clone(), server.hub.clone());
    let race = move |seed, told: String| {
        let (dialer, hub) = (dialer.clone(), hub.clone());
        async move { race_for_few(&dialer, &hub, seed, &told).await }
    };
    let resyncs = run_all(300, race).await;
    assert!(resyncs > 100, "only {resyncs}");
    server.close().await;
}
