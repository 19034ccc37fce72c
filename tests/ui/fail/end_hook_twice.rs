use abeyance::{End, Ended, Lifecycle, Resume};

struct Seat;

impl Lifecycle for Seat {
    async fn on_resume(self, ended: &Ended, cause: Resume) {
        self.on_end(ended, End::Resume(cause)).await;
        self.on_end(ended, End::Resume(cause)).await;
    }
}

fn main() {}
