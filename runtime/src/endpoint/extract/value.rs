//! One capture of a path as a type.

use std::borrow::Cow;

use serde::de::value::{SeqDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::misfit::Misfit;

/// One capture, decoded.
pub(super) struct Value<'a> {
    pub(super) name: &'a str,
    pub(super) text: Cow<'a, str>,
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
        visitor.visit_seq(SeqDeserializer::new(pair.into_iter()))
    }

    forward_to_deserialize_any! {
        str string unit unit_struct seq tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
