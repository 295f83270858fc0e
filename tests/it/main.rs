//! The whole program: bridge, speech service, receiver and phones in one process, over real sockets on port 0.
//!
//! One binary, so that it is linked once. Tests wait for events, never for time.

mod add_ons;
#[path = "../crash/aged.rs"]
mod aged;
mod api;
mod asr;
mod at_rest;
mod auth;
mod bad_input;
mod bad_line;
mod batch;
mod binary;
mod capture;
mod deliveries;
mod disk;
mod engine;
mod expected;
mod failing;
mod faults;
mod fixtures;
mod hearing;
mod hostile;
mod http;
mod late_question;
mod limits;
mod log;
mod main_job;
mod outage;
mod pause;
mod phone;
mod quota;
mod receivers;
mod recovery;
mod relay;
mod replay;
mod restart;
mod retention;
mod rotate;
mod shutdown;
mod speech;
mod spool;
mod stage;
mod twilio;
mod unwritable;
mod upstream;
