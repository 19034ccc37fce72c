//! What is asked of the benchmark.

use crate::contestant::Task;
use crate::wire::Wire;

pub(crate) const HELP: &str = "\
What one delivery of a published message costs a server: a bare loop of `write`, abeyance, axum.

  --quick           a tenth of the time: 1,000 peers, texts of 64 B, fewer rounds
  --peers <count>   so many peers, instead of 1,000 and then 10,000
  --wire <name>     websocket or sse, instead of both
  --size <bytes>    texts of that size, instead of 64 and then 1024
  --rounds <count>  so many rounds, instead of 60, or 6 where a round is long
  --test            no measuring: each server delivers to a few peers, once
";

/// What is measured, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BenchOptions {
    /// Whether only the delivery is checked, and nothing measured.
    pub(crate) is_test: bool,
    pub(crate) peers: Vec<usize>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) sizes: Vec<usize>,
    /// How many rounds there are at most: more short ones, since a machine is never quiet for long.
    pub(crate) rounds: usize,
    /// How many there are at least, where each takes more deliveries than it should.
    pub(crate) least: usize,
    /// How many deliveries should make a round.
    pub(crate) deliveries: usize,
}

impl BenchOptions {
    fn full() -> Self {
        BenchOptions {
            is_test: false,
            peers: vec![1_000, 10_000],
            wires: Wire::BOTH.into(),
            sizes: vec![64, 1024],
            rounds: 60,
            least: 6,
            deliveries: 20_000,
        }
    }

    fn quick() -> Self {
        BenchOptions { peers: vec![1_000], sizes: vec![64], rounds: 24, ..Self::full() }
    }

    fn test() -> Self {
        BenchOptions { is_test: true, peers: vec![20], rounds: 1, least: 1, deliveries: 0, ..Self::full() }
    }

    /// Reads the arguments; `None` if they ask which there are.
    pub(crate) fn read(arguments: &[String]) -> Result<Option<Self>, String> {
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        if has("--help") {
            return Ok(None);
        }
        // `cargo bench` says `--bench` and `cargo test` does not. What is built for a test is too slow to measure; and what
        // else is said then is said to the tests beside this.
        if !has("--bench") || has("--test") {
            return Ok(Some(Self::test()));
        }
        let mut options = if has("--quick") { Self::quick() } else { Self::full() };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--bench" | "--quick" => {}
                "--peers" => options.peers = vec![count(name, value()?)?],
                "--size" => options.sizes = vec![count(name, value()?)?],
                "--rounds" => {
                    options.rounds = count(name, value()?)?;
                    options.least = options.rounds;
                }
                "--wire" => options.wires = vec![value()?.parse()?],
                other => return Err(format!("{other:?} is not known\n\n{HELP}")),
            }
        }
        if options.sizes.iter().any(|size| !Self::SIZES.contains(size)) {
            return Err(format!("a text has {} to {} bytes", Self::SIZES.start(), Self::SIZES.end()));
        }
        Ok(Some(options))
    }

    /// What to publish, and in how many rounds, so that this takes about as long as anything else.
    pub(crate) fn task(&self, peers: usize, burst: u64, size: usize) -> (Task, usize) {
        let once = peers * burst as usize;
        let times = (self.deliveries / once).max(1);
        let rounds = self.rounds * self.deliveries / (times * once);
        (Task { times, burst, size }, rounds.clamp(self.least, self.rounds))
    }

    /// From a message's number on, as long as a burst fits within a peer's send buffer.
    const SIZES: std::ops::RangeInclusive<usize> = crate::wire::Batch::LEAST..=2048;
}

fn count(name: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(format!("{name}: expected a count such as 1000, found {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> Result<Option<BenchOptions>, String> {
        BenchOptions::read(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_is_measured_unless_cargo_bench_asks() {
        assert_eq!(read(""), Ok(Some(BenchOptions::test())));
        assert_eq!(read("--test --bench"), Ok(Some(BenchOptions::test())));
        assert_eq!(read("--nocapture some_test"), Ok(Some(BenchOptions::test())));
        assert_eq!(read("--bench"), Ok(Some(BenchOptions::full())));
        assert_eq!(read("--quick --bench"), Ok(Some(BenchOptions::quick())));
    }

    #[test]
    fn single_options_stand_before_the_usual_ones() {
        let options = read("--peers 10 --wire sse --size 100 --rounds 2 --bench").unwrap().unwrap();
        assert_eq!((options.peers, options.wires), (vec![10], vec![Wire::Sse]));
        assert_eq!((options.sizes, options.rounds), (vec![100], 2));
    }

    #[test]
    fn every_task_takes_about_as_long() {
        let deliveries = |peers, burst| {
            let (task, rounds) = BenchOptions::full().task(peers, burst, 64);
            (task.times * task.burst as usize * peers, rounds)
        };
        assert_eq!(deliveries(1_000, 1), (20_000, 60));
        assert_eq!(deliveries(10_000, 1), (20_000, 60));
        assert_eq!(deliveries(1_000, 50), (50_000, 24));
        assert_eq!(deliveries(10_000, 50), (500_000, 6));
        assert_eq!(BenchOptions::test().task(20, 50, 64).1, 1);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in ["--quik", "--peers 0", "--peers many", "--wire tcp", "--size 4"] {
            assert!(read(&format!("{arguments} --bench")).is_err(), "{arguments}");
        }
    }
}
