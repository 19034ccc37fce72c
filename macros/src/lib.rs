//! The attributes of abeyance.

mod words;
