//! How long it took from vanishing to the end hook.

use std::time::Duration;

use abeyance_tests::net::TRANSPORTS;

use super::axes::{Fault, State};
use super::table::Cell;

/// One end.
#[derive(Clone, Debug)]
pub(crate) struct Noticed {
    pub(crate) cell: Cell,
    /// From the moment before it went wrong.
    pub(crate) after: Duration,
}

/// Prints a table of the largest time for each state and transport.
pub(crate) fn print(fault: Fault, noticed: &[Noticed]) {
    println!("{}: the most seconds from its beginning to the end hook", fault.name());
    print!("{:12}", "");
    TRANSPORTS.iter().for_each(|transport| print!("{:>11}", transport.as_str()));
    println!();
    for state in State::ALL {
        print!("{:12}", state.name());
        for transport in TRANSPORTS {
            let of = |noticed: &&Noticed| {
                let cell = noticed.cell;
                (cell.fault, cell.state, cell.transport) == (fault, state, transport)
            };
            let most = noticed.iter().filter(of).map(|noticed| noticed.after).max();
            print!("{:>11}", most.map_or("-".to_owned(), |after| format!("{:.2}", after.as_secs_f64())));
        }
        println!();
    }
}
