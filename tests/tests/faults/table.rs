//! What is expected, as a table.
//!
//! - A word is the cause of the end. Two with a `/` between them are both true, and the last section says why.
//! - `stays`: that is no reason to end the hold. It is still there, and then noticed to leave, by a FIN and by an RST.
//! - `-` and a letter: left out, for the reason below that letter.

use abeyance::Transport;
use abeyance_tests::net::TRANSPORTS;

use super::axes::{Fault, State};

const TABLE: &str = "
                     opening    idle       on_message pending    mid_message  replaying     draining
fin
    websocket        gone       gone       gone       reset      gone         reset         drained
    sse              gone       gone       gone       reset      gone         reset         drained
    stream           gone       gone       gone       reset      gone         reset         drained
    long_poll        gone       gone       -h         answered   gone         -r            drained
reset
    websocket        reset      reset      reset      reset      reset        reset         drained
    sse              reset      reset      reset      reset      reset        reset         drained
    stream           reset      reset      reset      reset      reset        reset         drained
    long_poll        reset      reset      -h         answered   reset        -r            drained
black_hole
    websocket        idle       idle       idle       idle       idle         idle          drained
    sse              idle       idle       idle       idle       idle         idle          drained
    stream           idle       idle       idle       idle       idle         idle          drained
    long_poll        idle       idle       -h         answered   idle         -r            drained
zero_window
    websocket        -q         idle       -q         stalled    -q           idle          drained
    sse              -q         stays      -q         stalled    -q           stalled       drained
    stream           -q         stays      -q         stalled    -q           stalled       drained
    long_poll        -q         stays      -h         answered   -q           -r            drained
one_byte_a_second
    websocket        -q         idle       -q         stalled    unfinished   idle          drained
    sse              -q         stays      -q         stalled    stays        stalled       drained
    stream           -q         stays      -q         stalled    stays        stalled       drained
    long_poll        -q         stays      -h         answered   stays        -r            drained
stray_byte
    websocket        stays      stays      stays      stays      -m           stays         drained
    sse              stays      stays      stays      stays      -m           stays         drained
    stream           stays      stays      stays      stays      -m           stays         drained
    long_poll        stays      stays      -h         answered   -m           -r            drained
pipelined_request
    websocket        -f         -f         -f         -f         -f           -f            -f
    sse              stays      stays      stays      stays      -m           stays         drained
    stream           stays      stays      stays      stays      -m           stays         drained
    long_poll        stays      stays      -h         answered   -m           -r            drained
garbage
    websocket        violation  violation  violation  violation  violation    violation     drained
    sse              violation  violation  violation  violation  violation    violation     drained
    stream           violation  violation  violation  violation  violation    violation     drained
    long_poll        violation  violation  -h         answered   violation    -r            drained
half_close
    websocket        gone       gone       gone       gone       gone         gone          drained
    sse              gone       gone       gone       gone       gone         gone          drained
    stream           gone       gone       gone       gone       gone         gone          drained
    long_poll        gone       gone       -h         answered   gone         -r            drained
close_ignored
    websocket        released   released   released   released   released     released      drained
    sse              released   released   released   released   released     released      drained
    stream           released   released   released   released   released     released      drained
    long_poll        released   released   -h         answered   released     -r            drained

-f  Behind a WebSocket's handshake only frames may come: a request is garbage.
-h  A long poll's client says nothing while it is held: no `on_message` runs.
-m  The other half of that message, or of no account for it: as `idle`.
-q  Nothing is to be read there: such a peer is as quiet as any.
-r  A poll behind a past is answered at once: as `pending`.

Where one would expect another word:
- `reset` for `fin`: a kernel whose process closes a socket with unread bytes sends an RST, and no FIN.
- `answered` of a pending poll: a message ends it, and the first cause stands. What the peer does then decides only whether
  the answer arrives.
- `drained`, in the same way: the shutdown came first.
- `idle` of a WebSocket that does not read: such a client sends no pong. On the others an answer of the kernel counts.
- `stalled` of a replay that is not read: what it may give, a send buffer, lies in the kernel. No write of ours is blocked, and
  yet the peer takes nothing.
";

/// What comes of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The hold ends, for one of these causes.
    Ends(&'static str),
    /// It does not end.
    Stays,
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) fault: Fault,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    pub(crate) outcome: Outcome,
}

impl Outcome {
    /// Whether this is an end that is expected.
    pub(crate) fn allows(self, cause: &str) -> bool {
        matches!(self, Outcome::Ends(causes) if causes.split('/').any(|allowed| allowed == cause))
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} × {} × {}", self.fault.name(), self.transport.as_str(), self.state.name())
    }
}

/// The rows of words, and the lines below them.
fn parts() -> (Vec<Vec<&'static str>>, &'static str) {
    let (table, notes) = TABLE.trim_start_matches('\n').split_once("\n\n").expect("a table and notes");
    (table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect(), notes)
}

/// Every cell that is there, of some faults.
pub(crate) fn cells(faults: &[Fault]) -> Vec<Cell> {
    let (rows, _) = parts();
    let mut cells = Vec::new();
    for block in rows.chunks(1 + TRANSPORTS.len()) {
        let Some(&fault) = faults.iter().find(|fault| fault.name() == block[0][0]) else { continue };
        for row in &block[1..] {
            let transport = TRANSPORTS.into_iter().find(|transport| transport.as_str() == row[0]);
            let transport = transport.unwrap_or_else(|| panic!("{row:?} is no transport"));
            for (state, word) in State::ALL.into_iter().zip(&row[1..]) {
                let outcome = match *word {
                    "stays" => Outcome::Stays,
                    word if word.starts_with('-') => continue,
                    causes => Outcome::Ends(causes),
                };
                cells.push(Cell { fault, transport, state, outcome });
            }
        }
    }
    cells
}

#[test]
fn the_table_is_whole_and_says_why_something_is_left_out() {
    let (rows, notes) = parts();
    let columns: Vec<_> =
        TABLE.trim_start_matches('\n').lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(columns, State::ALL.map(State::name));
    assert_eq!(rows.len(), Fault::ALL.len() * (1 + TRANSPORTS.len()));
    for (fault, block) in Fault::ALL.iter().zip(rows.chunks(1 + TRANSPORTS.len())) {
        assert_eq!(block[0], [fault.name()]);
        for (transport, row) in TRANSPORTS.iter().zip(&block[1..]) {
            assert_eq!((row[0], row.len()), (transport.as_str(), 1 + State::ALL.len()), "{fault:?}");
            for word in row[1..].iter().filter(|word| word.starts_with('-')) {
                assert!(notes.lines().any(|note| note.starts_with(&format!("{word} "))), "no reason {word}");
            }
        }
    }
    assert_eq!(cells(&Fault::ALL).len(), 228, "no fewer than there were");
}
