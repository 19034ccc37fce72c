//! Tokens are drawn at random, so no input has one: there stands a name for it.

/// Puts tokens where their names stand: `{live}` of one who is held, `{past}` of one who was, and `{forged}`, that of the
/// one who is held but for one character, each time another one.
pub(super) fn filled(bytes: &[u8], live: &str, past: &str) -> Vec<u8> {
    let mut filled = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut forged = 0..;
    while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
        filled.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix(b"{live}") {
            filled.extend_from_slice(live.as_bytes());
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix(b"{past}") {
            filled.extend_from_slice(past.as_bytes());
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix(b"{forged}") {
            filled.extend(changed(live, forged.next().unwrap_or(0)));
            rest = behind;
        } else {
            filled.push(b'{');
            rest = &rest[1..];
        }
    }
    filled.extend_from_slice(rest);
    filled
}

fn changed(token: &str, time: usize) -> Vec<u8> {
    let mut token = token.as_bytes().to_vec();
    // All of them come, in an order in which near ones are far apart.
    let at = time * 11 % token.len();
    token[at] = if token[at] == b'A' { b'B' } else { b'A' };
    token
}
