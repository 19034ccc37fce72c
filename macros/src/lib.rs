//! The attributes of abeyance.
