//! What was measured, as tables.

use std::fs;

use crate::contestant::{Measured, Task};
use crate::sample::Sample;
use crate::server::Kind;
use crate::wire::Wire;

/// What all rounds of one task came to, one entry a server, in the order of [`Kind::ALL`].
pub(crate) struct Outcome {
    processor: Vec<Column>,
    until_all: Vec<Column>,
}

/// One quantity of one server.
struct Column {
    value: Sample,
    /// Beside the bare loop's in the same round.
    ratio: Sample,
}

impl Outcome {
    /// # Panics
    /// Without rounds.
    pub(crate) fn of(rounds: &[[Measured; Kind::ALL.len()]]) -> Self {
        let columns = |quantity: fn(&Measured) -> f64| {
            let column = |place: usize| Column {
                value: Sample::of(rounds.iter().map(|round| quantity(&round[place]))),
                ratio: Sample::of(
                    rounds
                        .iter()
                        .map(|round| quantity(&round[place]) / quantity(&round[Kind::Bare as usize])),
                ),
            };
            (0..Kind::ALL.len()).map(column).collect()
        };
        Outcome {
            processor: columns(|measured| measured.processor),
            until_all: columns(|measured| measured.until_all),
        }
    }

    /// Processor time of abeyance beside the bare loop.
    pub(crate) fn ratio(&self) -> f64 {
        self.processor[Kind::Abeyance as usize].ratio.median
    }
}

/// What is measured, where and how.
pub(crate) fn heading() {
    println!("Publishing to all peers of one server, on {}.", machine());
    println!("Medians of all rounds, in brackets the middle half of them.");
    println!("Behind them, how many times as much as the bare loop of writes in the same round.");
    println!("Processor time is that of the server's process, the kernel's work for it included.");
    if cfg!(debug_assertions) {
        println!("This build is not optimised: its numbers mean nothing.");
    }
}

/// What the next rows are about.
pub(crate) fn section(peers: usize, wire: Wire) {
    let title = format!("{} {} peers", grouped(peers as f64, 0), wire.as_str());
    println!();
    println!("{title:32} {:<43} until all have it", "server processor per delivery");
}

/// One row a server.
pub(crate) fn rows(task: Task, rounds: usize, outcome: &Outcome) {
    let how = match task.burst {
        1 => format!("{} B, one at a time", task.size),
        many => format!("{} B, {many} back to back", task.size),
    };
    for (place, kind) in Kind::ALL.into_iter().enumerate() {
        let how = match place {
            0 => how.clone(),
            1 => format!("  {rounds} rounds"),
            _ => String::new(),
        };
        let processor = outcome.processor[place].row(1.0, "ns");
        let until_all = outcome.until_all[place].row(1e6, "ms");
        let row = format!("{how:23} {kind:8} {processor} {until_all}");
        println!("{}", row.trim_end());
    }
}

/// How abeyance stands beside the bare loop.
pub(crate) fn verdict(ratios: &[f64]) {
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    println!();
    println!("Every peer got every message once, in order, byte by byte.");
    println!(
        "abeyance takes {least:.2} to {most:.2} x the processor time of the bare loop; the aim is 1.15."
    );
}

impl Column {
    fn row(&self, unit: f64, name: &str) -> String {
        let Sample { median, low, high } = self.value;
        // Three digits say all there is to say.
        let places = if median < 100.0 * unit { 2 } else { 0 };
        let shown = |value: f64| grouped(value / unit, places);
        let spread = format!("({}–{})", shown(low), shown(high));
        let Sample { median: ratio, low, high } = self.ratio;
        // The bare loop beside itself.
        let ratios = if low == high { String::new() } else { format!("x {ratio:.2} ({low:.2}–{high:.2})") };
        format!("{:>6} {name} {spread:<15} {ratios:<20}", shown(median))
    }
}

/// A number with its thousands apart.
fn grouped(number: f64, places: usize) -> String {
    let digits = format!("{number:.places$}");
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && place < whole && (whole - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A line on the machine.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([':', '\t', ' ']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let system = std::env::consts::OS;
    format!("{cores} cores ({model}), {system} {}, load before {load}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let round = |factor: f64| {
            [1.0, 1.1, 3.0].map(|ratio| Measured { processor: ratio * factor, until_all: factor / ratio })
        };
        // The machine was three times as slow in the second.
        let outcome = Outcome::of(&[round(1000.0), round(3000.0), round(1200.0)]);
        assert!((outcome.ratio() - 1.1).abs() < 1e-9);
        assert_eq!(outcome.processor[0].ratio, Sample { median: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(outcome.processor[2].value.median, 3600.0);
    }

    #[test]
    fn thousands_stand_apart() {
        let whole = [7.0, 999.0, 1000.0, 1_234_567.8].map(|number| grouped(number, 0));
        assert_eq!(whole, ["7", "999", "1,000", "1,234,568"]);
        assert_eq!(grouped(12_345.678, 2), "12,345.68");
    }
}
