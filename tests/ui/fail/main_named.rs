#[abeyance::main]
async fn start() {}
