//! The whole program: bridge, speech service, receiver and phones in one process, over real sockets on port 0.
//!
//! One binary, so that it is linked once. Tests wait for events, never for time.

mod api;
mod auth;
mod bad_input;
mod expected;
mod fixtures;
mod hostile;
mod http;
mod limits;
mod log;
mod main_job;
mod phone;
mod restart;
mod stage;
mod twilio;
mod upstream;
