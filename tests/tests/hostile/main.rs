//! Hostile clients, and a machine that runs short: each is bounded, gets a clear answer or is cut, and the server goes
//! on serving others.

mod descriptors; // none is left
