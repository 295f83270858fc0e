use super::*;
use crate::{
    event::{Direction, Speech},
    media::{CallSid, StreamSid},
};

const IN: TrackKey = TrackKey { stream: 0, track: Track::Inbound };

/// A folder of a test's own, taken away with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Desk {
    folder: Folder,
    recorder: Recorder,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

impl Desk {
    fn new() -> Self {
        let folder = Folder(std::env::temp_dir().join(format!("pulse-bridge-recorder-{}", crate::clock::ulid())));
        let (tasks, metrics) = (TaskTracker::new(), Arc::<Metrics>::default());
        let recorder = Recorder::open(&folder.0, tasks.clone(), Arc::clone(&metrics)).unwrap();
        Self { folder, recorder, tasks, metrics }
    }

    /// Waits until all writers are done; what is left in the folder.
    async fn left(&self) -> Vec<String> {
        self.tasks.close();
        self.tasks.wait().await;
        let entries = fs::read_dir(&self.folder.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn count(&self, outcome: &str) -> bool {
        self.metrics.render().contains(&format!("pulse_bridge_captures_total{{outcome=\"{outcome}\"}} 1"))
    }
}

fn session() -> SessionId {
    SessionId::new("ses_01").unwrap()
}

fn begin(tap: &Tap) {
    let data = Data::CallStarted(CallStarted {
        stream_sid: StreamSid::new("MZ1").unwrap(),
        account_sid: None,
        dialect: "twilio",
        direction: Direction::Inbound,
        from: None,
        to: None,
        speech: Speech::Pulse,
        tracks: Vec::new(),
        custom_parameters: BTreeMap::new(),
        started_at: 0,
    });
    let event = Event::new(ulid::Ulid::nil(), 0, &session(), &CallSid::new("CA1").unwrap(), 1, &data);
    tap.event(&data, &event);
}

fn chunk(offset: u64) -> Chunk {
    Chunk { offset: Offset(offset), at_ms: offset / 8, audio: vec![7; 480].into(), received: crate::clock::now() }
}

#[tokio::test]
async fn a_capture_that_falls_behind_is_removed_and_counted() {
    let desk = Desk::new();
    let tap = desk.recorder.begin(&session());
    begin(&tap);
    // The writer has no turn meanwhile.
    for number in 0..=QUEUE as u64 {
        tap.audio(IN, &chunk(number * 480));
    }
    assert!(desk.left().await.is_empty());
    assert!(desk.count("queue_full"));
    drop(tap);
}

#[tokio::test]
async fn a_capture_without_an_end_is_removed_and_counted() {
    let desk = Desk::new();
    let tap = desk.recorder.begin(&session());
    begin(&tap);
    tap.audio(IN, &chunk(0));
    drop(tap);
    assert!(desk.left().await.is_empty());
    assert!(desk.count("unended"));
}

#[tokio::test]
async fn a_capture_that_ended_has_its_own_name_and_the_call_s_audio_in_silence() {
    let desk = Desk::new();
    let tap = desk.recorder.begin(&session());
    begin(&tap);
    tap.audio(IN, &chunk(0));
    tap.tell(Input::End { stopped: true });
    assert_eq!(desk.left().await, ["ses_01"]);
    assert!(desk.count("kept"));
    assert_eq!(fs::read(desk.folder.0.join("ses_01/inbound.ulaw")).unwrap(), [0xFF; 480], "no final has covered it");
}

#[tokio::test]
async fn a_call_that_was_never_let_in_leaves_nothing() {
    let desk = Desk::new();
    drop(desk.recorder.begin(&session()));
    assert!(desk.left().await.is_empty());
    assert!(!desk.metrics.render().contains("captures_total{"));
}

#[tokio::test]
async fn what_a_crash_left_unfinished_is_gone_after_the_next_start_and_nothing_else_is() {
    let desk = Desk::new();
    for name in ["ses_01.part", "ses_02", "mine.part", "ses_03.party"] {
        fs::create_dir(desk.folder.0.join(name)).unwrap();
    }
    fs::write(desk.folder.0.join("ses_01.part/inbound.ulaw"), [7; 8]).unwrap();
    Recorder::open(&desk.folder.0, desk.tasks.clone(), Arc::clone(&desk.metrics)).unwrap();
    let mut left = desk.left().await;
    left.sort();
    assert_eq!(left, ["mine.part", "ses_02", "ses_03.party"]);
}

#[tokio::test]
async fn a_disk_that_fails_costs_the_capture_alone() {
    let desk = Desk::new();
    let tap = desk.recorder.begin(&session());
    fs::write(desk.folder.0.join("ses_01.part"), "a file in the folder's place").unwrap();
    begin(&tap);
    assert_eq!(desk.left().await, ["ses_01.part"]);
    assert!(desk.count("disk"));
    drop(tap);
}

#[tokio::test]
async fn a_folder_that_is_taken_away_in_mid_call_is_not_begun_anew() {
    let desk = Desk::new();
    let tap = desk.recorder.begin(&session());
    begin(&tap);
    let part = desk.folder.0.join("ses_01.part");
    while !part.join("expected.jsonl").exists() {
        tokio::task::yield_now().await;
    }
    // As another bridge would at its start.
    fs::remove_dir_all(&part).unwrap();
    tap.audio(IN, &chunk(0));
    tap.tell(Input::End { stopped: true });
    assert!(desk.left().await.is_empty());
    assert!(desk.count("disk"));
}
