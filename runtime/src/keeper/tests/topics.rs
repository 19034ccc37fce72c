//! Topics: who gets what, and who is a member.

use super::*;
