//! What the path of a request captured, and how it becomes a type.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::misfit::Misfit;
use super::value::Value;

/// The captures of a request, in the order of the path, as they stood in the request line. Dispatch puts them into the
/// request's extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Captures(Vec<(Arc<str>, String)>);

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
