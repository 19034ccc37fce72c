//! Who may speak for a hold: no text opens one but its own token.

use std::sync::OnceLock;

use abeyance_core::mechanisms::token::Secret;
use abeyance_core::words::hold_id::HoldId;

/// Eight bytes of a hold's id; then pairs of a place in its token and a byte for it, and what stands behind.
pub(crate) fn tokens(data: &[u8]) {
    // One that makes tokens, and one that never does: what is compared below, libFuzzer sees and tries.
    static SECRETS: OnceLock<[Secret; 2]> = OnceLock::new();
    let [secret, silent] = SECRETS.get_or_init(|| [Secret::draw(), Secret::draw()]);
    if let Some(id) = silent.open(&String::from_utf8_lossy(data)) {
        panic!("guessed the token of {id:?}");
    }

    let Some((id, edits)) = data.split_first_chunk::<8>() else { return };
    let id = HoldId::from_bits(u64::from_be_bytes(*id));
    let token = secret.token(id);
    assert_eq!(secret.open(&token), Some(id));
    let mut edited = token.clone().into_bytes();
    for edit in edits.chunks_exact(2) {
        match edited.get_mut(usize::from(edit[0])) {
            Some(byte) => *byte = edit[1],
            None if edit[0] % 2 == 0 => edited.push(edit[1]),
            None => drop(edited.pop()),
        }
    }
    let edited = String::from_utf8_lossy(&edited);
    assert_eq!(secret.open(&edited), (edited == token).then_some(id), "{token} became {edited}");
}
