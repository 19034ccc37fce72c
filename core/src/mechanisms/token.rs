//! Who may speak for a hold: the token of the `Abeyance-Hold` header.
//!
//! A token is the hold's id and a keyed hash of it (SipHash-2-4 with 128 bits, a pseudo-random function), so that none
//! has to be kept. The key is drawn anew at every start.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

use crate::words::hold_id::HoldId;

pub struct Secret([u8; 16]);

impl Secret {
    /// # Panics
    /// When the system has no randomness to give: nothing secret can be made then.
    pub fn draw() -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Secret(key)
    }

    pub fn token(&self, id: HoldId) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&id.bits().to_be_bytes());
        bytes[8..].copy_from_slice(&self.seal(id));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The hold a token speaks for, if it is one of ours.
    pub fn open(&self, token: &str) -> Option<HoldId> {
        let mut bytes = [0; 24];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        let (id, seal) = bytes[..length].split_first_chunk::<8>()?;
        let id = HoldId::from_bits(u64::from_be_bytes(*id));
        let difference = seal.iter().zip(self.seal(id)).fold(0, |all, (a, b)| all | (a ^ b));
        (seal.len() == 16 && difference == 0).then_some(id)
    }

    fn seal(&self, id: HoldId) -> [u8; 16] {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write_u64(id.bits());
        hasher.finish128().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_to_its_own_hold_only() {
        let secret = Secret::draw();
        let id = HoldId::new(7, 3);
        let token = secret.token(id);
        assert_eq!(secret.open(&token), Some(id));
        assert_eq!(Secret::draw().open(&token), None);
    }

    #[test]
    fn forged_and_mangled_tokens_open_to_nothing() {
        let secret = Secret::draw();
        let token = secret.token(HoldId::new(7, 3));
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(secret.open(&String::from_utf8(forged).unwrap()), None, "changed at {at}");
            assert_eq!(secret.open(&token[..at]), None);
        }
        assert_eq!(secret.open(&format!("{token}AAAA")), None);
        assert_eq!(secret.open("%00\u{e9}"), None);
    }
}
