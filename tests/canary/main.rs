//! Canary: calls with planted values through the real program at `RUST_LOG=trace`, everything switched on; then every byte that left it is
//! searched for every value in every form. Nothing is to be found.
//!
//! The values are in `values.rs`, their forms in `forms.rs`, what is said in `calls.rs`; the program's stdout, stderr, webhooks, answers, commands
//! and files come together in `collect.rs`. A route without a place in `routes.rs` fails the test.

mod bridge;
mod calls;
mod collect;
mod forms;
mod guard;
mod phone;
mod receiver;
mod routes;
mod run;
mod script;
mod search;
mod service;
mod values;
