//! The masking of client frames (RFC 6455 §5.3).

/// Unmasks in place bytes that stand `offset` bytes after the start of their frame's payload.
pub(super) fn apply(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut mask = mask;
    mask.rotate_left(offset % 4);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let mut eight = [0; 8];
        eight.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn unmasking_follows_the_definition_at_every_offset(bytes: Vec<u8>, mask: [u8; 4], offset in 0usize..9) {
            let defined: Vec<u8> =
                bytes.iter().enumerate().map(|(i, byte)| byte ^ mask[(i + offset) % 4]).collect();
            let mut unmasked = bytes;
            super::apply(&mut unmasked, mask, offset);
            prop_assert_eq!(unmasked, defined);
        }
    }
}
