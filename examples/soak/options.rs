//! What was asked for.

use std::net::SocketAddr;

pub(super) const USAGE: &str = "soak [--seconds 60] [--clients 2000] [--seed <number>] [--cycles 0]";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// How long clients come.
    pub(super) seconds: u64,
    /// How many at a time.
    pub(super) clients: usize,
    /// What they draw from.
    pub(super) seed: u64,
    /// How many open and close at once, before the others come.
    pub(super) cycles: u64,
    /// Said to the process of the clients: where the server is.
    pub(super) against: Option<SocketAddr>,
}

impl Options {
    pub(super) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options {
            seconds: 60,
            clients: 2_000,
            seed: fastrand::u64(..1_000_000),
            cycles: 0,
            against: None,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} what?"))?;
            let number = || value.parse().map_err(|_| format!("{name}: expected a number, found {value:?}"));
            match &*name {
                "--seconds" => options.seconds = number()?,
                "--clients" => options.clients = number()? as usize,
                "--seed" => options.seed = number()?,
                "--cycles" => options.cycles = number()?,
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
        let Options { seconds, clients, seed, cycles, against: _ } = self;
        [
            ("--seconds", seconds.to_string()),
            ("--clients", clients.to_string()),
            ("--seed", seed.to_string()),
            ("--cycles", cycles.to_string()),
            ("--against", server.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_are_asked_for_the_same() {
        let asked = ["--seconds", "3", "--clients", "5", "--seed", "7", "--cycles", "9"].map(String::from);
        let options = Options::read(asked.into_iter()).expect("options");
        let server = ([127, 0, 0, 1], 80).into();
        let theirs = Options::read(options.arguments(server).into_iter()).expect("options");
        assert_eq!(theirs, Options { against: Some(server), ..options });
    }
}
