//! What each command takes, one struct a command.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum, builder::PossibleValue};
use secrecy::SecretString;

use crate::{
    engine::files::Model,
    receive,
    replay::{self, Pace},
    store::DeliveryState,
};

/// Where settings come from.
#[derive(Args)]
pub struct Settings {
    /// Settings file [default: ./pulse-bridge.toml if there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Which running bridge to ask.
#[derive(Args)]
pub struct Bridge {
    /// Address of the bridge [default: from the settings]
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Its API token [default: from the settings]
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<SecretString>,
    /// JSON on stdout, errors too
    #[arg(long, global = true)]
    pub json: bool,
}

/// `serve`.
#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub settings: Settings,
    /// Address and port, in place of the setting's; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// `demo`.
#[derive(Args)]
pub struct Demo {
    /// Which fixture call
    #[arg(long, value_name = "NAME", default_value = "pay-by-card")]
    pub fixture: String,
    /// Take the fixture's own words, not the built-in engine; for machines that it does not run on
    #[arg(long)]
    pub scripted: bool,
    /// Leave the bridge running afterwards and print its address
    #[arg(long)]
    pub keep: bool,
    /// One JSON object a line on stdout, errors too
    #[arg(long)]
    pub json: bool,
}

/// `replay`.
#[derive(Args)]
pub struct Replay {
    /// Recorded calls: a fixture's folder, a log of Twilio messages, a WAV file, or a folder of them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The bridge's media address
    #[arg(long, value_name = "URL", default_value = replay::DEFAULT_TO)]
    pub to: String,
    /// How the phone speaks (anything but twilio is not in this version yet)
    #[arg(long, value_name = "NAME", default_value = "twilio")]
    pub dialect: String,
    /// Times real time, or `max`
    #[arg(long, value_name = "N|max", default_value = "1")]
    pub speed: Pace,
    /// Calls at once, at least one for each recording
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub calls: u32,
    /// Auth token to sign the handshake with, as Twilio would
    #[arg(long, value_name = "TOKEN")]
    pub sign_with: Option<SecretString>,
    /// Plan of frames to lose, double, delay, reorder, and of broken connections
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// Folder of expected events; what came out is fetched from the bridge and compared with them
    #[arg(long, value_name = "DIR")]
    pub expect: Option<PathBuf>,
    /// Write what came out to the folder of --expect
    #[arg(long, requires = "expect")]
    pub write_expected: bool,
    /// How many milliseconds each time may be off what is expected
    #[arg(long, value_name = "N", default_value_t = 0, requires = "expect")]
    pub tolerance_ms: u64,
    /// The bridge's API token, for --expect [default: from the settings]
    #[arg(long, value_name = "TOKEN", requires = "expect")]
    pub token: Option<SecretString>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub settings: Settings,
    /// One JSON object a line on stdout, errors too
    #[arg(long)]
    pub json: bool,
}

/// `engine`.
#[derive(Args)]
pub struct Engine {
    /// What to do [default: status]
    #[command(subcommand)]
    pub action: Option<EngineAction>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub settings: Settings,
    /// JSON on stdout, errors too
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `engine` does.
#[derive(Subcommand)]
pub enum EngineAction {
    /// Fetch the engine with the machine's pip, check its hash, unpack it
    ///
    /// What is there already stays; what is damaged is put in place anew. Nothing else is downloaded.
    #[command(before_help = "Example:  pulse-bridge engine install")]
    Install {
        /// A wheel that is already here, in place of fetching; may come several times (docs/engine.md names them)
        #[arg(long = "wheel", value_name = "FILE")]
        wheels: Vec<PathBuf>,
        /// Which model [default: `engine.model` of the settings]
        #[arg(long, value_name = "MODEL")]
        model: Option<Model>,
    },
    /// What is there; exit code 1 where the model of the settings is not whole
    #[command(before_help = "Example:  pulse-bridge engine status --json")]
    Status,
}

/// `emulate`.
#[derive(Args)]
pub struct Emulate {
    /// Address and port; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub listen: SocketAddr,
    /// What it hears: a fixture folder or a script file
    #[arg(long, value_name = "FILE", conflicts_with = "engine")]
    pub script: Option<PathBuf>,
    /// Really recognise, with the built-in engine; its model and folder are those of the settings
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<EngineName>,
    /// Plan of what goes wrong when (docs/tools.md)
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// One JSON object a line on stdout, errors too
    #[arg(long)]
    pub json: bool,
}

/// An engine that `emulate` may recognise with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// The built-in one.
    Local,
}

/// `receive`.
#[derive(Args)]
pub struct Receive {
    /// Address and port; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub listen: SocketAddr,
    /// Signing secret to verify with; none: one is made and printed
    #[arg(long, value_name = "whsec_…")]
    pub secret: Option<SecretString>,
    /// How to fail, e.g. `status=503,count=3` for the first three; may come several times
    ///
    /// One way: `status=N` (410 pauses the endpoint), `reset`, `reset=midway`, `hang`, `garbage`, `huge=MIB`, `redirect=URL`, `drip=MS`;
    /// with it `delay_ms=N`, `retry_after=S`; and which deliveries: `count=N`, `after=N`, `every=N`, `share=0.3`, `seed=N`, `type=EVENT`,
    /// `seq=N`. More in docs/tools.md.
    #[arg(long, value_name = "SPEC")]
    pub fail: Vec<receive::Spec>,
    /// One JSON object a line on stdout, errors too
    #[arg(long)]
    pub json: bool,
}

/// `calls`.
#[derive(Args)]
pub struct Calls {
    /// What to do [default: list]
    #[command(subcommand)]
    pub action: Option<CallsAction>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub settings: Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub bridge: Bridge,
}

/// What `calls` does.
#[derive(Subcommand)]
pub enum CallsAction {
    /// Newest first
    #[command(before_help = "Example:  pulse-bridge calls list")]
    List,
    /// One call
    #[command(before_help = "Example:  pulse-bridge calls show CA4f2a")]
    Show {
        /// CallSid or session id
        sid: String,
    },
    /// One call's transcript
    #[command(before_help = "Example:  pulse-bridge calls export CA4f2a --format vtt")]
    Export {
        /// CallSid or session id
        sid: String,
        /// In which form
        #[arg(long, default_value = "txt")]
        format: ExportFormat,
    },
}

/// A transcript's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each is the file ending of that format")]
pub enum ExportFormat {
    Json,
    Txt,
    Srt,
    Vtt,
    Vcon,
}

/// `deliveries`.
#[derive(Args)]
pub struct Deliveries {
    /// What to do [default: list]
    #[command(subcommand)]
    pub action: Option<DeliveriesAction>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub settings: Settings,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub bridge: Bridge,
}

/// What `deliveries` does.
#[derive(Subcommand)]
pub enum DeliveriesAction {
    /// What waits, what was delivered, what is parked; newest first
    #[command(before_help = "Example:  pulse-bridge deliveries list --state parked --endpoint crm")]
    List(DeliveriesList),
    /// One delivery with its attempts
    #[command(before_help = "Example:  pulse-bridge deliveries show dlv_01J9")]
    Show {
        /// Its id
        id: String,
    },
    /// Send again: the same bytes, the same id
    #[command(before_help = "Example:  pulse-bridge deliveries retry dlv_01J9 dlv_01JA")]
    Retry {
        /// Which
        #[arg(required_unless_present = "parked", conflicts_with = "parked", value_name = "ID")]
        ids: Vec<String>,
        /// All that are parked
        #[arg(long)]
        parked: bool,
        /// Of these, only those to this endpoint
        #[arg(long, value_name = "NAME", requires = "parked", conflicts_with = "ids")]
        endpoint: Option<String>,
    },
}

/// `deliveries list`.
#[derive(Args)]
pub struct DeliveriesList {
    /// Only those that stand so
    #[arg(long, value_name = "STATE")]
    pub state: Option<DeliveryState>,
    /// Only those to this endpoint
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,
    /// Only those of this call, by CallSid or session id
    #[arg(long, value_name = "SID")]
    pub call_sid: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// What `deliveries list` shows if nobody says.
const LISTED: u32 = 50;

impl Default for DeliveriesList {
    fn default() -> Self {
        Self { state: None, endpoint: None, call_sid: None, limit: LISTED }
    }
}

/// The API's words.
impl ValueEnum for DeliveryState {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Pending => "Waits for its next attempt",
            Self::Leased => "An attempt is under way",
            Self::Delivered => "Answered with 2xx",
            Self::Parked => "Given up until somebody asks for it again",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

/// `redact`.
#[derive(Args)]
pub struct Redact {
    /// JSON lines [default: standard input]
    pub file: Option<PathBuf>,
    /// Say why each was redacted
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub settings: Settings,
    /// Errors as JSON too; what comes out always is
    #[arg(long)]
    pub json: bool,
}

/// `doctor`.
#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    #[expect(missing_docs, reason = "its type says it")]
    pub settings: Settings,
    /// Only ask the running bridge whether it is ready, for health checks
    #[arg(long)]
    pub ready: bool,
    /// JSON on stdout, errors too
    #[arg(long)]
    pub json: bool,
}
