use abeyance::{Suspend, suspend};

#[suspend(transports = [websocket, ws, "sse", sse.then])]
async fn one() -> Suspend {
    Suspend::new()
}

#[suspend(transports(sse, stream, sse))]
async fn two() -> Suspend {
    Suspend::new()
}

#[suspend(transports = [])]
async fn three() -> Suspend {
    Suspend::new()
}

#[suspend(transports = websocket)]
async fn four() -> Suspend {
    Suspend::new()
}

#[suspend(transports = [sse,, stream])]
async fn five() -> Suspend {
    Suspend::new()
}

fn main() {}
