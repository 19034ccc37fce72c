//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

pub(super) const USAGE: &str =
    "soak [--seconds 60] [--clients 2000] [--seed <number>] [--cycles 0] [--max-late <duration>]";

/// What `--help` prints below it.
pub(super) const HELP: &str = "
  --seconds    for how long clients connect before the audit; then new ones connect, for the shutdown
  --clients    how many at a time
  --seed       of all random choices
  --cycles     how many holds to open and close at once, before the clients start
  --max-late   by how much 99 % of the timeouts may be late, such as 250ms or 1s. Without it there is
               no check: lateness depends on the machine and its load";

/// The options of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// For how long clients connect.
    pub(super) seconds: u64,
    /// How many at a time.
    pub(super) clients: usize,
    /// The seed of all random choices.
    pub(super) seed: u64,
    /// How many holds to open and close at once, before the clients start.
    pub(super) cycles: u64,
    /// How late timeouts may be.
    pub(super) max_late: Option<Duration>,
    /// For the process of the clients: where the server is.
    pub(super) against: Option<SocketAddr>,
    /// For the process of the clients: they stay until standard input ends, and report what they saw.
    pub(super) is_logged: bool,
}

/// Sets `is_logged`.
const LOG: &str = "--log";

impl Options {
    pub(super) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options {
            seconds: 60,
            clients: 2_000,
            seed: fastrand::u64(..1_000_000),
            cycles: 0,
            max_late: None,
            against: None,
            is_logged: false,
        };
        while let Some(name) = arguments.next() {
            if name == LOG {
                options.is_logged = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} what?"))?;
            let number = || value.parse().map_err(|_| format!("{name}: expected a number, found {value:?}"));
            match &*name {
                "--seconds" => options.seconds = number()?,
                "--clients" => options.clients = number()? as usize,
                "--seed" => options.seed = number()?,
                "--cycles" => options.cycles = number()?,
                "--max-late" => {
                    let late = duration(&value);
                    options.max_late = Some(late.ok_or_else(|| {
                        format!("{name}: expected a duration such as 250ms or 1s, found {value:?}")
                    })?);
                }
                "--against" => {
                    options.against =
                        Some(value.parse().map_err(|_| format!("{name}: no address: {value:?}"))?);
                }
                _ => return Err(format!("{name} is no option")),
            }
        }
        Ok(options)
    }

    /// The arguments of the process of the clients.
    pub(super) fn arguments(&self, server: SocketAddr) -> Vec<String> {
        let Options { seconds, clients, seed, cycles, max_late: _, against: _, is_logged } = self;
        [
            ("--seconds", seconds.to_string()),
            ("--clients", clients.to_string()),
            ("--seed", seed.to_string()),
            ("--cycles", cycles.to_string()),
            ("--against", server.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .chain(is_logged.then(|| LOG.to_owned()))
        .collect()
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let number = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, String> {
        Options::read(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_process_of_the_clients_gets_the_same_options() {
        let options = read("--seconds 3 --clients 5 --seed 7 --cycles 9 --max-late 1s").expect("options");
        let server = ([127, 0, 0, 1], 80).into();
        for is_logged in [false, true] {
            let options = Options { is_logged, ..options };
            let theirs = Options::read(options.arguments(server).into_iter()).expect("options");
            assert_eq!(theirs, Options { against: Some(server), max_late: None, ..options });
        }
    }

    #[test]
    fn lateness_is_a_duration() {
        let max_late =
            |text: &str| read(&format!("--seed 1 --max-late {text}")).map(|options| options.max_late);
        assert_eq!(max_late("250ms"), Ok(Some(Duration::from_millis(250))));
        assert_eq!(max_late("2s"), Ok(Some(Duration::from_secs(2))));
        for wrong in ["250", "ms", "1m", "-1s"] {
            assert!(max_late(wrong).is_err_and(|fault| fault.contains("such as 250ms")), "{wrong}");
        }
    }
}
