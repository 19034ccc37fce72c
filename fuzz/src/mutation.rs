//! Mutations of inputs: drawn, and yet the same in each run.

use abeyance_tests::dice::Dice;

/// Draws one mutation after the other.
pub(crate) struct Mutation {
    dice: Dice,
    corpus: Vec<Vec<u8>>,
}

/// No input grows beyond that.
const LONGEST: usize = 8 * 1024;

/// Bytes at which parsers change their minds.
const EDGES: &[u8] = b"\0\x01\x7e\x7f\x80\x81\x88\x89\xfe\xff\r\n \"'%*,-./09:;=?A_az{}";

impl Mutation {
    /// Those of one target.
    pub(crate) fn new(name: &str, corpus: Vec<Vec<u8>>) -> Self {
        let seed = name.bytes().fold(0, |seed, byte| seed * 31 + u64::from(byte));
        Mutation { dice: Dice::new(seed), corpus }
    }

    /// The next one.
    pub(crate) fn draw(&mut self) -> Vec<u8> {
        let mut input = self.any();
        for _ in 0..1 + self.dice.roll(4) {
            self.mutate(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn any(&mut self) -> Vec<u8> {
        self.corpus[self.dice.roll(self.corpus.len())].clone()
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.part(input.len());
        match self.dice.roll(8) {
            0 => drop(input.drain(start..end)),
            1 => {
                let part = input[start..end].to_vec();
                input.splice(start..start, part);
            }
            2 => {
                let times = 1 + self.dice.roll(40);
                let part = input[start..end.min(start + 64)].repeat(times);
                input.splice(start..end, part);
            }
            3 => {
                let other = self.any();
                let (from, to) = self.part(other.len());
                input.splice(start..end, other[from..to].iter().copied());
            }
            4 => {
                let byte = self.dice.pick(EDGES);
                input.insert(start, byte);
            }
            _ if input.is_empty() => {}
            5 => input[start.min(end - 1)] ^= 1 << self.dice.roll(8),
            6 => input[start.min(end - 1)] = self.dice.pick(EDGES),
            _ => input[start.min(end - 1)] = self.dice.roll(256) as u8,
        }
    }

    /// Some part of so many bytes, empty only where there are none.
    fn part(&mut self, length: usize) -> (usize, usize) {
        if length == 0 {
            return (0, 0);
        }
        let start = self.dice.roll(length);
        // Mostly short ones.
        let most = if self.dice.one_in(4) { length - start } else { (length - start).min(8) };
        (start, start + 1 + self.dice.roll(most))
    }
}
