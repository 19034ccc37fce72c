//! Which topics keep a history, and how much of one.

use std::collections::HashMap;

use crate::words::retention::{Pattern, Retention, Rule};

/// All rules of one server; they never change.
#[derive(Debug, Default)]
pub struct Rules {
    keeps: Vec<Retention>,
    names: HashMap<Box<str>, usize>,
    /// Longest first: the most exact rule counts.
    prefixes: Vec<(Box<str>, usize)>,
}

impl Rules {
    pub fn new(rules: Vec<Rule>) -> Self {
        let mut all = Rules::default();
        for (Rule { pattern, keep }, index) in rules.into_iter().zip(0..) {
            all.keeps.push(keep);
            match pattern {
                Pattern::Name(name) => {
                    all.names.insert(name, index);
                }
                Pattern::Prefix(prefix) => all.prefixes.push((prefix, index)),
            }
        }
        all.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        all
    }

    pub fn is_empty(&self) -> bool {
        self.keeps.is_empty()
    }

    pub(super) fn keeps(&self) -> &[Retention] {
        &self.keeps
    }

    /// Whether a rule is that of one topic, which it names.
    pub(super) fn is_of_one(&self, rule: usize) -> bool {
        self.names.values().any(|named| *named == rule)
    }

    /// The rule for a topic; `None` if it keeps nothing.
    pub fn of(&self, topic: &str) -> Option<usize> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| topic.starts_with(&**prefix));
        self.names.get(topic).copied().or_else(|| by_prefix().map(|(_, rule)| *rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_rule_counts() {
        let texts = ["rooms/*", "rooms/vip/*", "news", "*", "rooms/vip/one"];
        let rule = |text| Rule { pattern: Pattern::read(text).unwrap(), keep: Retention::default() };
        let rules = Rules::new(texts.map(rule).into());
        for (topic, text) in [
            ("rooms/", "rooms/*"),
            ("rooms/1", "rooms/*"),
            ("rooms/vip/two", "rooms/vip/*"),
            ("rooms/vip/one", "rooms/vip/one"),
            ("news", "news"),
            ("newsflash", "*"),
        ] {
            assert_eq!(rules.of(topic).map(|rule| texts[rule]), Some(text), "{topic}");
        }
        assert_eq!(Rules::new(vec![rule("news")]).of("newsflash"), None);
    }
}
