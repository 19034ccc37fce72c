//! What the path of a request captured, and how it becomes a type.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The captures of a request, in the order of the path, as they stood in the request line. Dispatch puts them into the
/// request's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Captures(Vec<(Arc<str>, String)>);

/// Why captures do not become the type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The peer wrote something else than the type can be.
    Value { name: Option<String>, why: String },
    /// The function's type does not fit its own path, whatever a peer writes.
    Shape(String),
}

/// The captures with each value decoded once.
pub(super) struct Decoded<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl Captures {
    pub(crate) fn new(captured: Vec<(Arc<str>, String)>) -> Self {
        Captures(captured)
    }

    pub(super) fn decoded(&self) -> Result<Decoded<'_>, Misfit> {
        let decode = |(name, value): &'_ (Arc<str>, String)| match percent_decode_str(value).decode_utf8() {
            Ok(_) => Ok(()),
            Err(_) => Err(Misfit::Value { name: Some(name.to_string()), why: String::from("not UTF-8") }),
        };
        self.0.iter().try_for_each(decode)?;
        let pairs =
            self.0.iter().map(|(name, value)| (&**name, percent_decode_str(value).decode_utf8_lossy()));
        Ok(Decoded(pairs.collect()))
    }

    #[cfg(test)]
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }
}

impl Misfit {
    fn at(self, field: &str) -> Self {
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

impl<'a> Decoded<'a> {
    fn only(self) -> Result<Value<'a>, Misfit> {
        let count = self.0.len();
        match self.0.into_iter().next() {
            Some((name, text)) if count == 1 => Ok(Value { name, text }),
            _ => Err(Misfit::Shape(format!("the path captures {count} values, and the type takes one"))),
        }
    }

    fn exactly(self, wanted: usize) -> Result<Pairs<'a>, Misfit> {
        match self.0.len() {
            count if count == wanted => Ok(Pairs::of(self)),
            count => {
                Err(Misfit::Shape(format!("the path captures {count} values, and the type takes {wanted}")))
            }
        }
    }
}

macro_rules! the_only_value {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.only()?.$method(visitor)
        }
    )* };
}

impl<'de> Deserializer<'de> for Decoded<'_> {
    type Error = Misfit;

    the_only_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(Pairs::of(self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, wanted: usize, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(self.exactly(wanted)?)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        wanted: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_seq(self.exactly(wanted)?)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_map(Pairs::of(self))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit_struct map struct identifier ignored_any }
}

/// The captures one after the other, as values or as names with values.
struct Pairs<'a> {
    rest: std::vec::IntoIter<(&'a str, Cow<'a, str>)>,
    value: Option<Value<'a>>,
}

impl<'a> Pairs<'a> {
    fn of(decoded: Decoded<'a>) -> Self {
        Pairs { rest: decoded.0.into_iter(), value: None }
    }
}

impl<'de> SeqAccess<'de> for Pairs<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some((name, text)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Value { name, text }).map(Some).map_err(|misfit| misfit.at(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

impl<'de> MapAccess<'de> for Pairs<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((name, text)) = self.rest.next() else { return Ok(None) };
        self.value = Some(Value { name, text });
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let value =
            self.value.take().ok_or_else(|| de::Error::custom("a value was asked for before its name"))?;
        let name = value.name;
        seed.deserialize(value).map_err(|misfit| misfit.at(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// One capture.
struct Value<'a> {
    name: &'a str,
    text: Cow<'a, str>,
}

macro_rules! parsed {
    ($($method:ident $visit:ident $kind:literal,)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let Ok(value) = self.text.parse() else {
                let why = format!("expected {}, found {:?}", $kind, self.text);
                return Err(Misfit::Value { name: Some(self.name.to_owned()), why });
            };
            visitor.$visit(value)
        }
    )* };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Misfit;

    parsed! {
        deserialize_bool visit_bool "`true` or `false`",
        deserialize_i8 visit_i8 "an integer of type i8",
        deserialize_i16 visit_i16 "an integer of type i16",
        deserialize_i32 visit_i32 "an integer of type i32",
        deserialize_i64 visit_i64 "an integer of type i64",
        deserialize_i128 visit_i128 "an integer of type i128",
        deserialize_u8 visit_u8 "an integer of type u8",
        deserialize_u16 visit_u16 "an integer of type u16",
        deserialize_u32 visit_u32 "an integer of type u32",
        deserialize_u64 visit_u64 "an integer of type u64",
        deserialize_u128 visit_u128 "an integer of type u128",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number",
        deserialize_char visit_char "one character",
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let name = self.name;
        let visited = match self.text {
            Cow::Borrowed(text) => visitor.visit_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        };
        visited.map_err(|misfit: Misfit| misfit.at(name))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_bytes(self.text.as_bytes())
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let field = self.name;
        StrDeserializer::new(&self.text)
            .deserialize_enum(name, variants, visitor)
            .map_err(|misfit: Misfit| misfit.at(field))
    }

    /// A pair: the name and the value, for `Vec<(String, String)>`.
    fn deserialize_tuple<V: Visitor<'de>>(self, wanted: usize, visitor: V) -> Result<V::Value, Misfit> {
        if wanted != 2 {
            return Err(Misfit::Shape(format!("one capture cannot be {wanted} values")));
        }
        let pair = [Cow::Borrowed(self.name), self.text].map(|text| Value { name: self.name, text });
        visitor.visit_seq(de::value::SeqDeserializer::new(pair.into_iter()))
    }

    forward_to_deserialize_any! {
        str string unit unit_struct seq tuple_struct map struct identifier ignored_any
    }
}

impl<'de> de::IntoDeserializer<'de, Misfit> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
