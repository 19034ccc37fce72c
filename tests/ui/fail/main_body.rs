// A faulty attribute hides nothing of the body.
#[abeyance::main(listen = "localhost")]
async fn main() {
    let _: u32 = "seven";
}
