//! The contests: all servers, round by round, in every order.

use crate::Fault;
use crate::contestant::{Contestant, Measured, Task};
use crate::options::BenchOptions;
use crate::report::{self, Outcome};
use crate::server::Kind;

/// How many messages a burst has.
const BURST: u64 = 50;

/// Each server comes first, second and third equally often, and behind each other one.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [1, 0, 2], [0, 2, 1]];

/// Holds the contests that were asked for, and prints what they come to.
pub(crate) fn hold(options: &BenchOptions) -> Result<(), Fault> {
    if !options.is_test {
        report::heading();
    }
    let mut ratios = Vec::new();
    for &peers in &options.peers {
        for &wire in &options.wires {
            let contestants: Result<Vec<_>, _> =
                Kind::ALL.into_iter().map(|kind| Contestant::enter(kind, wire, peers)).collect();
            let mut contestants = contestants?;
            if !options.is_test {
                report::section(peers, wire);
            }
            for &size in &options.sizes {
                for burst in [1, BURST] {
                    let (task, rounds) = options.task(peers, burst, size);
                    let outcome = Outcome::of(&compare(&mut contestants, task, rounds)?);
                    if !options.is_test {
                        report::rows(task, rounds, &outcome);
                    }
                    ratios.push(outcome.ratio());
                }
            }
            contestants.into_iter().try_for_each(Contestant::leave)?;
        }
    }
    match options.is_test {
        true => println!("every peer got every message once, from every server"),
        false => report::verdict(&ratios),
    }
    Ok(())
}

/// What each server came to in each round, in the order of [`Kind::ALL`]; the first round is for warming up.
fn compare(
    contestants: &mut [Contestant],
    task: Task,
    rounds: usize,
) -> Result<Vec<[Measured; Kind::ALL.len()]>, Fault> {
    let mut measured = Vec::new();
    for (round, order) in (0..=rounds).zip(ORDERS.iter().cycle()) {
        let mut this = [Measured::NOTHING; Kind::ALL.len()];
        for &place in order {
            this[place] = contestants[place].round(task)?;
        }
        if round > 0 {
            measured.push(this);
        }
    }
    Ok(measured)
}
