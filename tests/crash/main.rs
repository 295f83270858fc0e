//! Events survive a crash: the real binary is aborted at each place where that could hurt, or killed at any moment, and started again;
//! then a program that sees only what the speech service said and what the receivers got counts what is lost and what is too much.
//!
//! One bridge a cell, in a process of its own, beside a speech service in a process of its own (`pulse-bridge emulate`), a receiver that
//! logs every POST, and phones that speak at a phone's pace and do not come back when they are cut off. Everything is looked at from
//! outside only. `docs/crashes.md` says how to run the long form and how to repeat a run by its seed.

mod aged;
mod bridge;
mod cell;
mod chance;
mod child;
mod coverage;
mod http;
mod kills;
mod leaving;
mod load;
mod matrix;
mod phone;
mod receiver;
mod script;
mod service;
mod verdict;
