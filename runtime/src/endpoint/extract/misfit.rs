//! Why the captures of a path do not become a type.

use std::fmt;

use serde::de;

/// Why captures do not become the type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The peer wrote something else than the type can be.
    Value { name: Option<String>, why: String },
    /// The function's type does not fit its own path, for any request.
    Shape(String),
}

impl Misfit {
    /// Names the capture, where it was not known yet.
    pub(super) fn at(self, field: &str) -> Self {
        match self {
            Misfit::Value { name: None, why } => Misfit::Value { name: Some(field.to_owned()), why },
            known => known,
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Value { name: Some(name), why } => write!(f, "`{name}` in the path: {why}"),
            Misfit::Value { name: None, why } => write!(f, "the path: {why}"),
            Misfit::Shape(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Misfit::Value { name: None, why: why.to_string() }
    }

    fn missing_field(field: &'static str) -> Self {
        Misfit::Shape(format!("the path captures no `{field}`"))
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Misfit::Shape(format!("the type has no field for the capture `{field}`"))
    }

    fn invalid_length(length: usize, expected: &dyn de::Expected) -> Self {
        Misfit::Shape(format!("the path captures {length} values, expected {expected}"))
    }
}
