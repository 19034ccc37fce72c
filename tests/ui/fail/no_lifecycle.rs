use abeyance::{Suspend, suspend};

struct Seat;

#[suspend]
async fn enter() -> Suspend<Seat> {
    Suspend::with(Seat)
}

#[suspend]
async fn perhaps() -> Result<Suspend<Seat>, abeyance::Refusal> {
    Ok(Suspend::with(Seat))
}

fn main() {}
