//! The table of settings: one row each, from which everything follows that is said of a setting more than once.

/// Makes the types of a table of settings. A row has the setting's text for readers, its name, its variant among the keys,
/// its kind and its default:
///
/// ```
/// use abeyance_settings::kind::{Count, Size};
///
/// abeyance_settings::settings! {
///     #[derive(Clone, Debug, Default)]
///     options Options;
///     #[derive(Clone, Debug)]
///     config Config {}
///     keys Key;
///
///     "Memory" {
///         /// How many bytes the head of a request may have. A longer one is refused.
///         pub max_head MaxHead: Size = 16 << 10, "16KiB", least 8 << 10, "which common clients need";
///
///         /// How many topics one hold may have joined at once.
///         pub max_topics MaxTopics: Count, "none";
///     }
/// }
///
/// let mut options = Options::default();
/// options.set(Key::MaxHead, "32KiB").unwrap();
/// let config = options.resolve();
/// assert_eq!((config.max_head, config.max_topics), (32 << 10, None));
/// assert_eq!(config.report(), [("Memory", vec![String::from("max_head=32KiB")])]);
/// ```
///
/// The *options* are what was written: `None` where nothing was. The *config* has every default filled in; a setting
/// without a default is an `Option` there, too. The text behind the default is what readers see. It says how the default
/// is found where that is no constant.
#[macro_export]
macro_rules! settings {
    (
        $(#[$options_attribute:meta])* options $Options:ident;
        $(#[$config_attribute:meta])* config $Config:ident {
            $($(#[$code_attribute:meta])* pub $code:ident: $code_type:ty,)*
        }
        keys $Key:ident;
        $($section:literal { $(
            $(#[doc = $doc:literal])+
            $visible:vis $name:ident $Variant:ident: $kind:ident $(= $default:expr)?, $default_text:literal
            $(, least $least:expr, $least_why:literal)? $(, most $most:expr, $most_why:literal)?;
        )+ })+
    ) => {
        $(#[$options_attribute])*
        pub struct $Options {
            $($($(#[doc = $doc])+ pub $name: Option<<$kind as $crate::kind::Kind>::Value>,)+)+
        }

        $(#[$config_attribute])*
        pub struct $Config {
            $($($(#[doc = $doc])+ $visible $name: $crate::settings!(@type $kind $(= $default)?),)+)+
            $($(#[$code_attribute])* pub $code: $code_type,)*
        }

        /// The name of one setting.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $Key {
            $($($(#[doc = $doc])+ $Variant,)+)+
        }

        impl $Key {
            /// Every setting, in the order of the table.
            pub const ALL: &'static [$Key] = &[$($($Key::$Variant),+),+];

            /// The setting as it is written in code.
            pub const fn as_str(&self) -> &'static str {
                match self { $($($Key::$Variant => stringify!($name),)+)+ }
            }

            /// The setting of that name.
            pub fn named(name: &str) -> Option<$Key> {
                $Key::ALL.iter().copied().find(|key| key.as_str() == name)
            }

            /// What a fault of this setting says was expected.
            pub const fn expected(&self) -> &'static str {
                match self { $($($Key::$Variant => <$kind as $crate::kind::Kind>::EXPECTED,)+)+ }
            }

            /// The setting, as the reference tells it.
            pub fn describe(&self) -> $crate::table::Description {
                match self { $($($Key::$Variant => $crate::table::Description {
                    section: $section,
                    name: stringify!($name),
                    text: &[$($doc),+],
                    default: $default_text,
                },)+)+ }
            }
        }

        impl $Options {
            /// Nothing written.
            pub const NONE: $Options = $Options { $($($name: None,)+)+ };

            /// These options, and where they say nothing those of `fallback`.
            #[must_use]
            pub fn or(self, fallback: $Options) -> $Options {
                $Options { $($($name: self.$name.or(fallback.$name),)+)+ }
            }

            /// Sets one setting from text.
            ///
            /// # Errors
            /// The text is not a value of that setting; nothing is changed then.
            pub fn set(&mut self, key: $Key, text: &str) -> Result<(), $crate::amount::Misread> {
                match key { $($($Key::$Variant => {
                    let value = <$kind as $crate::kind::Kind>::read(text)?;
                    $crate::settings!(@bounds value, format!("{text:?}"), $kind
                        $(, least $least, $least_why)? $(, most $most, $most_why)?);
                    self.$name = Some(value);
                })+)+ }
                Ok(())
            }

            /// What code wrote and cannot be meant.
            pub fn faults(&self) -> Vec<($Key, $crate::amount::Misread)> {
                [$($((
                    $Key::$Variant,
                    self.$name.as_ref().map_or(Ok(()), |value| {
                        let found = <$kind as $crate::kind::Kind>::spell(value);
                        if let Err(why) = <$kind as $crate::kind::Kind>::judge(value) {
                            let expected = <$kind as $crate::kind::Kind>::EXPECTED;
                            return Err($crate::amount::Misread::new(expected, found, why));
                        }
                        $crate::settings!(@bounds *value, found, $kind
                            $(, least $least, $least_why)? $(, most $most, $most_why)?);
                        Ok(())
                    }),
                )),+),+]
                .into_iter()
                .filter_map(|(key, judged)| Some((key, judged.err()?)))
                .collect()
            }

            /// The settings with every default filled in.
            pub fn resolve(self) -> $Config {
                $Config {
                    $($($name: $crate::settings!(@resolve self.$name $(, $default)?),)+)+
                    $($code: Default::default(),)*
                }
            }
        }

        impl $Config {
            /// What is in effect, by section: `name=value`. What has no value is left out.
            pub fn report(&self) -> Vec<(&'static str, Vec<String>)> {
                vec![$((
                    $section,
                    [$($crate::settings!(@spell self.$name, $kind $(= $default)?)
                        .map(|value| format!("{}={value}", stringify!($name)))),+]
                        .into_iter().flatten().collect(),
                )),+]
            }
        }
    };

    (@type $kind:ident = $default:expr) => { <$kind as $crate::kind::Kind>::Value };
    (@type $kind:ident) => { Option<<$kind as $crate::kind::Kind>::Value> };
    (@resolve $value:expr, $default:expr) => { $value.unwrap_or_else(|| $default) };
    (@resolve $value:expr) => { $value };
    (@spell $value:expr, $kind:ident = $default:expr) => {
        Some(<$kind as $crate::kind::Kind>::spell(&$value)).filter(|text| !text.is_empty())
    };
    (@spell $value:expr, $kind:ident) => { $value.as_ref().map(<$kind as $crate::kind::Kind>::spell) };
    (@bounds $value:expr, $found:expr, $kind:ident
        $(, least $least:expr, $least_why:literal)? $(, most $most:expr, $most_why:literal)?) => {
        $(if $value < $least {
            let why = format!("at least {:?}, {}", <$kind as $crate::kind::Kind>::spell(&$least), $least_why);
            return Err($crate::amount::Misread::new(<$kind as $crate::kind::Kind>::EXPECTED, $found, why));
        })?
        $(if $value > $most {
            let why = format!("at most {:?}, {}", <$kind as $crate::kind::Kind>::spell(&$most), $most_why);
            return Err($crate::amount::Misread::new(<$kind as $crate::kind::Kind>::EXPECTED, $found, why));
        })?
    };
}

/// A setting, as the reference tells it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The heading under which it stands.
    pub section: &'static str,
    /// Its name in code.
    pub name: &'static str,
    /// Its text for readers, by lines.
    pub text: &'static [&'static str],
    /// What it is unless set.
    pub default: &'static str,
}

impl Description {
    /// The first paragraph of its text.
    pub fn first_paragraph(&self) -> String {
        let lines = self.text.iter().map(|line| line.trim()).take_while(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    }
}
