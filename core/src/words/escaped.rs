//! Text of others, as it may stand in a line of a log or of a chat room.

use std::fmt;

/// Text in which control characters are escaped: a line that others wrote stays one line, and moves no cursor.
pub struct Escaped<'a>(pub &'a str);

/// Whether a character does something to the text around it: breaks its line, or reverses its direction.
fn is_control(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_control) {
            f.write_str(&rest[..at])?;
            let mut behind = rest[at..].chars();
            if let Some(letter) = behind.next() {
                write!(f, "{}", letter.escape_default())?;
            }
            rest = behind.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_escaped_and_nothing_else() {
        for (text, told) in [
            ("", ""),
            ("a \"quoted\" wörd\\", "a \"quoted\" wörd\\"),
            ("x\n2026 ERROR", "x\\n2026 ERROR"),
            ("\r\n\t", "\\r\\n\\t"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\u{85}b\u{2028}c\u{202e}d\u{7f}", "a\\u{85}b\\u{2028}c\\u{202e}d\\u{7f}"),
        ] {
            assert_eq!(Escaped(text).to_string(), told);
        }
    }
}
