//! pulse-bridge: phone calls in, live transcripts out.
#![forbid(unsafe_code)]

pub mod accept;
pub mod admission;
pub mod api;
pub mod audio;
pub mod backoff;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod dialect;
pub mod doctor;
mod draw;
pub mod emulate;
pub mod event;
pub mod fixture;
pub mod hex;
pub mod keys;
pub mod media;
pub mod metrics;
pub mod net;
pub mod outbox;
pub mod pii;
pub mod receive;
pub mod redact;
pub mod registry;
pub mod replay;
pub mod segment;
pub mod serve;
pub mod spool;
pub mod store;
pub mod stream;
pub mod tools;
pub mod transcript;
pub mod upstream;
pub mod webhook;
