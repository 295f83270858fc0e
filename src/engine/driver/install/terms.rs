//! What an installation goes by.
//!
//! Promises: the product has one set of terms, [`Terms::ours`]; nothing outside the program changes it.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::{Failed, pip};
use crate::engine::{
    files::{Part, SHARED},
    wheels::{self, LEAST_GLIBC, WHEELS, Wheel},
};

/// See the module's page.
pub(super) struct Terms<'a> {
    /// Every wheel that may be used.
    pub(super) wheels: &'a [Wheel],
    /// How pip may be called.
    pub(super) pips: &'a [&'a [&'a str]],
    /// Looked at behind the data folder.
    pub(super) shared: &'a Path,
    /// The system, as Rust names it.
    pub(super) os: &'a str,
    /// The processor, likewise.
    pub(super) machine: &'a str,
    /// The C library's version, if the system tells it.
    pub(super) glibc: fn() -> Option<(u32, u32)>,
}

impl Terms<'_> {
    /// The product's, on this machine.
    pub(super) fn ours() -> Terms<'static> {
        Terms {
            wheels: WHEELS,
            pips: pip::NAMES,
            shared: Path::new(SHARED),
            os: std::env::consts::OS,
            machine: std::env::consts::ARCH,
            glibc,
        }
    }

    /// The wheel that a part comes in here.
    pub(super) fn wheel_of(&self, part: Part) -> Result<Wheel, Failed> {
        let found = wheels::wheel_of(self.wheels, part, self.os, self.machine).copied();
        found.ok_or_else(|| Failed::Platform(format!("{} on {}", self.os, self.machine)))
    }

    /// Whether the engine can run here at all. A system that does not tell its C library's version is tried: the library says what it lacks.
    pub(super) fn check_system(&self) -> Result<(), Failed> {
        match (self.glibc)() {
            Some(found) if found < LEAST_GLIBC => Err(Failed::Glibc(found)),
            _ => Ok(()),
        }
    }
}

fn glibc() -> Option<(u32, u32)> {
    let says = |name: &str, argument: &str| {
        let output = Command::new(name).arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        wheels::glibc(&String::from_utf8_lossy(&output.stdout))
    };
    says("getconf", "GNU_LIBC_VERSION").or_else(|| says("ldd", "--version"))
}
