//! What recognises the demo's call: the built-in engine, or the fixture's own words.

use std::path::Path;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::free_port;
use crate::{
    cli,
    config::table,
    emulate::{self, Auth, Emulator, Script},
    engine::{
        driver::{Pool, install, start},
        files::Model,
    },
    fixture::Fixture,
};

/// Where the engine is looked for and put, so that a bridge started in the same place finds it.
const DATA_DIR: &str = "PULSE_BRIDGE_DATA_DIR";

/// It, ready.
pub(super) enum Speech {
    Engine(Pool),
    Scripted(Script),
}

impl Speech {
    /// The engine, fetched if it is not here; `scripted`: the fixture's words instead. Nothing is said about that if it `is_quiet`.
    ///
    /// # Errors
    /// An engine that cannot be had, in one line.
    pub(super) async fn ready(fixture: &Fixture, (scripted, is_quiet): (bool, bool)) -> Result<Self> {
        if scripted {
            return Ok(Self::Scripted(Script::of_fixtures([fixture])));
        }
        let set = std::env::var_os(DATA_DIR).filter(|set| !set.is_empty());
        let home = install::engine_home(set.as_deref().map(Path::new));
        Ok(Self::Engine(start::start(&home, Model::default(), cli::engine::say(is_quiet)).await?))
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Engine(_) => "built-in engine",
            Self::Scripted(_) => "scripted (fixture truth)",
        }
    }

    /// An engine that the bridge is to run, and the address under which it finds its speech service.
    pub(super) async fn serve(self, until: CancellationToken) -> Result<(Option<Pool>, String)> {
        let script = match self {
            Self::Engine(pool) => return Ok((Some(pool), table::LOCAL.to_owned())),
            Self::Scripted(script) => script,
        };
        let listener = free_port().await?;
        let address = format!("ws://{}/waves/v1/stt/live", listener.local_addr()?);
        let emulator = Emulator { speech: script.into(), auth: Auth::Open, ..Emulator::default() };
        tokio::spawn(emulate::serve(listener, emulator, until));
        Ok((None, address))
    }
}
