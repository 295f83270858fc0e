//! One cell of the matrix: calls, the bridge's end at a place, its restart, and what the checker says.

use std::{collections::BTreeSet, os::unix::process::ExitStatusExt, path::PathBuf, time::Duration};

use pulse_bridge::clock;

use crate::{
    bridge::{self, Place},
    child::{PATIENCE, Program, folder},
    coverage,
    leaving::{self, Going, Leaving},
    phone::{self, Farewell, Spoken},
    receiver::{Mood, Receiver},
    service::Service,
    verdict,
};

/// How long the phones of a cell talk if nobody cuts them off.
const TALK_MS: u64 = 14_000;
/// What the last call of a cell says, on the bridge that was started again.
const LAST_TALK_MS: u64 = 1800;
/// Calls of a cell whose bridge is killed before, so that recovery has some to bring back.
const CALLS_TO_RECOVER: usize = 3;
/// How long those talk before the kill.
const TALK_BEFORE_KILL: Duration = Duration::from_millis(3200);
/// The signal of `abort`.
const SIGABRT: i32 = 6;

/// When the bridge is at the place at which it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// While a call is on the line.
    Live,
    /// While it drains after SIGTERM.
    Draining,
    /// While it takes up the calls of a bridge that was killed.
    Recovering,
    /// While it starts for the first time.
    Starting,
    /// While it erases a call that is over, as somebody asked.
    Erasing,
    /// While it erases a call that was kept long enough.
    Sweeping,
}

/// Which cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) place: &'static str,
    /// Which pass of the place, from 1.
    pub(crate) pass: u32,
    pub(crate) when: When,
}

/// What a cell works with.
struct Stage {
    bridge: Place,
    receiver: Receiver,
    prefix: String,
    folder: PathBuf,
    spoken: Vec<Spoken>,
    /// The call that goes, and how far that was when the bridge ended.
    leaving: Option<(Leaving, Going)>,
}

impl Cell {
    fn name(&self) -> String {
        format!("{}:{} {:?}", self.place, self.pass, self.when)
    }

    /// Runs it; says what is wrong.
    pub(crate) async fn run(self, service: &Service) -> Result<(), String> {
        let folder = folder(&format!("{}-{}-{:?}", self.place, self.pass, self.when));
        std::fs::create_dir_all(&folder).unwrap();
        let receiver = Receiver::start(&folder, Mood::default(), 0).await;
        let further = [("PULSE_BRIDGE_DRAIN_DEADLINE", "300 ms"), ("PULSE_BRIDGE_UPSTREAM_SESSION_LIMIT", self.session_limit())];
        let bridge = Place::new(folder.clone(), &service.url, &receiver.url, &further);
        let prefix = format!("CA{}x", clock::ulid());
        let mut stage = Stage { bridge, receiver, prefix, folder: folder.clone(), spoken: Vec::new(), leaving: None };
        let outcome = match self.crash(&mut stage).await {
            Ok(()) => stage.finish(service).await,
            Err(why) => Err(why),
        };
        if outcome.is_ok() {
            let _ = std::fs::remove_dir_all(folder);
        }
        outcome.map_err(|why| format!("{}: {why}; see {}", self.name(), stage.folder.display()))
    }

    /// How long the service lets a session last: short where the change of a connection is the place.
    fn session_limit(&self) -> &'static str {
        if self.place == "link.rotate" { "3 s" } else { "1 h" }
    }

    /// Brings the bridge to the place, where it ends.
    async fn crash(&self, stage: &mut Stage) -> Result<(), String> {
        let failpoint = format!("{}:{}", self.place, self.pass);
        let armed = Some(failpoint.as_str());
        match self.when {
            When::Starting => {
                let mut bridge = stage.bridge.spawn(armed);
                self.aborted(&mut bridge).await
            }
            When::Live | When::Draining => {
                let (mut bridge, address) = stage.bridge.start(armed).await;
                let talking = tokio::spawn(phone::play(address, stage.call(0).leak(), TALK_MS, Farewell::Stop));
                if self.when == When::Draining {
                    tokio::time::sleep(TALK_BEFORE_KILL).await;
                    bridge.terminate();
                }
                self.aborted(&mut bridge).await?;
                stage.spoken.push(talking.await.unwrap());
                Ok(())
            }
            When::Recovering => {
                let (mut bridge, address) = stage.bridge.start(None).await;
                let calls: Vec<&'static str> = (0..CALLS_TO_RECOVER).map(|number| &*stage.call(number).leak()).collect();
                let phones = calls.into_iter().map(|call| tokio::spawn(phone::play(address, call, TALK_MS, Farewell::Stop)));
                let phones: Vec<_> = phones.collect();
                tokio::time::sleep(TALK_BEFORE_KILL).await;
                bridge.kill();
                for phone in phones {
                    stage.spoken.push(phone.await.unwrap());
                }
                let mut bridge = stage.bridge.spawn(armed);
                self.aborted(&mut bridge).await
            }
            When::Erasing | When::Sweeping => self.crash_while_one_goes(stage, armed).await,
        }
    }

    /// Beside the call that goes, one stays and one is brought back.
    async fn crash_while_one_goes(&self, stage: &mut Stage, armed: Option<&str>) -> Result<(), String> {
        let mut leaving = stage.two_over_and_one_cut_off().await?;
        if self.is_of_any_commit() {
            stage.end_all().await?;
        }
        let (mut bridge, going, answer) = if self.when == When::Sweeping {
            leaving.make_old(&stage.data());
            (stage.bridge.spawn(armed), Going::Due, None)
        } else {
            let (bridge, address) = stage.bridge.start(armed).await;
            let answer = leaving.erase(address, &stage.data()).await;
            (bridge, if self.place.contains("after") { Going::Done } else { Going::Asked }, answer)
        };
        stage.leaving = Some((leaving, going));
        self.aborted(&mut bridge).await?;
        answer.map_or(Ok(()), |status| Err(format!("the bridge that ended has answered {status}")))
    }

    /// Whether the place is at every commit, so that all but the one that is meant has to be over before the bridge is armed.
    fn is_of_any_commit(&self) -> bool {
        self.place.starts_with("store.")
    }

    /// The program ended at the place, and by nothing else.
    async fn aborted(&self, bridge: &mut Program) -> Result<(), String> {
        match bridge.ended().await {
            Some(status) if status.signal() == Some(SIGABRT) => Ok(()),
            Some(status) => Err(format!("the bridge ended with {status} before it came to the place")),
            None => Err("the bridge never came to the place".to_owned()),
        }
    }
}

impl Stage {
    fn call(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Two calls to their end, and one that talks on until the bridge is killed.
    async fn two_over_and_one_cut_off(&mut self) -> Result<Leaving, String> {
        let (mut bridge, address) = self.bridge.start(None).await;
        let play = |number, length_ms| {
            let call = self.call(number);
            tokio::spawn(async move { phone::play(address, &call, length_ms, Farewell::Stop).await })
        };
        let [first, second, cut_off] = [play(0, LAST_TALK_MS), play(1, LAST_TALK_MS), play(2, TALK_MS)];
        self.spoken.extend([first.await.unwrap(), second.await.unwrap()]);
        let leaving = Leaving::begin(address, &self.receiver, [self.call(0), self.call(1)]).await?;
        bridge.kill();
        self.spoken.push(cut_off.await.unwrap());
        Ok(leaving)
    }

    /// Brings back the call that was cut off, and lets the bridge end when it has nothing left to do.
    async fn end_all(&mut self) -> Result<(), String> {
        let (mut bridge, address) = self.bridge.start(None).await;
        leaving::until_over(address, &self.receiver, &self.call(2)).await?;
        bridge.kill();
        Ok(())
    }

    /// Starts the bridge again, has one more call, waits for the end of all calls, and has everything checked.
    async fn finish(&mut self, service: &Service) -> Result<(), String> {
        let (mut bridge, address) = self.bridge.start(None).await;
        let mut known = bridge::calls(address).await;
        if let Some((leaving, going)) = &self.leaving {
            leaving.check(address, &self.data(), *going).await?;
        }
        let last = self.call(9);
        let spoken = phone::play(address, &last, LAST_TALK_MS, Farewell::Stop).await;
        if !spoken.is_whole {
            return Err(format!("the bridge that was started again did not take a call to its end: {spoken:?}"));
        }
        self.spoken.push(spoken);
        known.insert(last);
        known.extend(self.receiver.started());
        let missing = self.receiver.until_completed(&known, PATIENCE).await;
        let log = service.log().await;
        bridge.kill();
        let heard = self.folder.join("heard.json");
        std::fs::write(&heard, &log).unwrap();
        if !missing.is_empty() {
            return Err(format!("no call.completed came for {missing:?}"));
        }
        if let Some((leaving, _)) = &self.leaving {
            leaving.check_traces(&self.data(), &self.receiver)?;
        }
        self.check(&log, &known)?;
        let (report, passed) = verdict::of(&heard, &self.receiver.log, &self.prefix);
        if passed && report["words_told"].as_u64() > Some(0) { Ok(()) } else { Err(format!("{report:#}")) }
    }

    fn check(&self, log: &str, known: &BTreeSet<String>) -> Result<(), String> {
        let unheard = coverage::unheard(log, &self.spoken, known);
        match () {
            () if !unheard.is_empty() => Err(format!("the service never heard {unheard:#?}")),
            () if self.bridge.has_panicked() => Err("the bridge panicked".to_owned()),
            () => Ok(()),
        }
    }
}
