//! Ends: what is given back, and that nobody is woken under a lock.

use std::task::Wake;

use super::*;
use crate::words::cause::{Disconnect, Resume};
