use futures_util::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    emulate::{self, Auth, Emulator, Fault, Faults, HeardLog, Script},
    fixture::Fixture,
    media::{Chunk, GapReason, SessionId, Track},
    net::Reach,
    spool::{Spool, SpoolTrack, seal::DataKey},
    store::driver::tests::Folder,
};

const KEY: TrackKey = TrackKey { stream: 0, track: Track::Outbound };
const PATIENCE: Duration = Duration::from_secs(2);

fn dialler() -> Arc<Dialler> {
    Arc::new(Dialler::trusting(Reach::Anywhere, rustls::RootCertStore::empty()))
}

fn endpoint(url: &str, form: PhoneForm, per_minute: usize) -> Arc<BatchEndpoint> {
    Arc::new(BatchEndpoint::new(url.parse().unwrap(), form, PATIENCE, per_minute, dialler()))
}

fn upstream() -> Arc<Upstream> {
    Arc::new(Upstream { api_key: Some("sk_test".into()), ..Upstream::at("ws://127.0.0.1:1/waves/v1/stt/live") })
}

fn fixture() -> Fixture {
    Fixture::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mid-word")).unwrap()
}

/// The agent's side of a recording on the spool, its clock two seconds ahead of the track.
async fn spooled(folder: &Folder) -> (SpoolTrack, Stretch) {
    let spool = Spool::open(&folder.0).unwrap();
    let session = SessionId::new(&format!("ses_{}", clock::ulid())).unwrap();
    let track = spool.track(&session, KEY, &DataKey::new([7; 32]));
    let audio = fixture().tracks[&KEY.track].clone();
    for at in (0..audio.len()).step_by(480) {
        let (piece, at) = (audio.slice(at..(at + 480).min(audio.len())), at as u64);
        track.append(&Chunk { offset: Offset(at), at_ms: 2_000 + at / 8, audio: piece, received: clock::now() }).unwrap();
    }
    spool.flush().await;
    let end = audio.len() as u64;
    let stretch =
        Stretch { from: Offset(0), to: Offset(end), from_ms: 2_000, to_ms: 2_000 + end / 8, reason: GapReason::UpstreamLost };
    (track, stretch)
}

/// Runs an emulator; gives its address, its log, and what ends it.
async fn emulator(faults: Faults) -> (String, HeardLog, tokio_util::sync::DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/waves/v1/stt/", listener.local_addr().unwrap());
    let (log, over) = (HeardLog::default(), tokio_util::sync::CancellationToken::new());
    let emulator = Emulator { speech: Script::of_fixtures([&fixture()]).into(), faults, auth: Auth::AnyKey, log: log.clone() };
    tokio::spawn(emulate::serve(listener, emulator, over.clone()));
    (url, log, over.drop_guard())
}

async fn reports_of(endpoint: &Arc<BatchEndpoint>) -> (Option<u64>, Vec<Report>) {
    let folder = Folder::new();
    let (track, stretch) = spooled(&folder).await;
    let (told, mut reports) = mpsc::channel(256);
    let through = run(&upstream(), endpoint, KEY, (vec![stretch], None), track.reader(), &told).await;
    drop(told);
    let mut all = Vec::new();
    while let Some((_, report)) = reports.recv().await {
        all.push(report);
    }
    (through, all)
}

#[tokio::test]
async fn spooled_audio_comes_back_as_words_at_their_places_in_either_form() {
    for form in [PhoneForm::Pcm16, PhoneForm::Mulaw] {
        let (url, log, _over) = emulator(Faults::default()).await;
        let (through, reports) = reports_of(&endpoint(&url, form, 25)).await;
        let words: Vec<_> = reports
            .iter()
            .filter_map(|report| match report {
                Report::Final(heard) => Some(&heard.words),
                _ => None,
            })
            .flatten()
            .collect();
        let truth = &fixture().truth[&KEY.track].words;
        let whole: Vec<_> = truth.iter().filter(|word| !word.cut).collect();
        assert_eq!(words.len(), whole.len(), "{form:?}");
        for (word, spoken) in words.iter().zip(whole) {
            assert!(word.start_ms.abs_diff(spoken.start_ms + 2_000) <= 20 && word.end_ms.abs_diff(spoken.end_ms + 2_000) <= 20);
        }
        assert!(through.is_some_and(|ms| ms > 10_000), "{through:?}");
        let noted = &log.connections()[0];
        assert_eq!((noted.route, noted.key.as_deref()), ('G', Some("…")));
        assert!(noted.headers.contains(&("content-type".to_owned(), "audio/wav".to_owned())), "{noted:?}");
        assert!(noted.query.iter().all(|(name, _)| !matches!(name.as_str(), "token" | "api_key" | "webhook_url")), "{noted:?}");
    }
}

#[tokio::test]
async fn a_service_that_stays_away_is_a_gap_within_the_patience() {
    let began = clock::now();
    let (through, reports) = reports_of(&endpoint("http://127.0.0.1:9/waves/v1/stt/", PhoneForm::Pcm16, 25)).await;
    assert_eq!(through, Some(0));
    assert!(clock::now() - began < PATIENCE * 4);
    assert!(matches!(reports.last(), Some(Report::Gap { .. })), "the gap is the last word");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = vec![0; 1 << 16];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while socket.write_all(&vec![b' '; 1 << 16]).await.is_ok() {}
            });
        }
    });
    let (answer, _) =
        endpoint(&url, PhoneForm::Mulaw, 25).post(upstream(), vec![Bytes::from_static(&[0xFF; 800])], PhoneForm::Mulaw).await;
    assert!(matches!(answer, Answer::Failed(Trouble::Unreadable | Trouble::Broken)), "{answer:?}");
}

#[tokio::test]
async fn whoever_stops_listening_stops_the_work() {
    let (url, _log, _over) = emulator(Faults::always(Fault::BatchDelay { ms: 60_000 })).await;
    let folder = Folder::new();
    let (track, stretch) = spooled(&folder).await;
    let (told, reports) = mpsc::channel(256);
    let endpoint = endpoint(&url, PhoneForm::Pcm16, 25);
    let running =
        tokio::spawn(async move { run(&upstream(), &endpoint, KEY, (vec![stretch], None), track.reader(), &told).await });
    drop(reports);
    assert_eq!(running.await.unwrap(), None);
}

#[tokio::test]
async fn a_bridge_that_stops_leaves_the_rest_for_the_next_start() {
    let (url, _log, _over) = emulator(Faults::always(Fault::BatchRefuse { status: 503, retry_after: None, form: None })).await;
    let folder = Folder::new();
    let (track, stretch) = spooled(&folder).await;
    let (told, mut reports) = mpsc::channel(256);
    let (endpoint, upstream) = (endpoint(&url, PhoneForm::Pcm16, 25), upstream());
    upstream.leaving.unconnected.cancel();
    assert_eq!(run(&upstream, &endpoint, KEY, (vec![stretch], None), track.reader(), &told).await, None);
    drop(told);
    let mut last = None;
    while let Some((_, report)) = reports.recv().await {
        last = Some(report);
    }
    assert!(matches!(last, Some(Report::Left)), "no gap is told");
}

#[tokio::test]
async fn no_more_requests_go_at_once_or_in_a_minute_than_are_allowed() {
    let endpoint = endpoint("http://127.0.0.1:9/", PhoneForm::Pcm16, 3);
    let may_begin = || {
        let mut turn = Arc::clone(&endpoint).turn().now_or_never()?;
        turn.spend();
        Some(turn)
    };
    let (first, second) = (may_begin().unwrap(), may_begin().unwrap());
    assert!(may_begin().is_none(), "two are under way");
    drop((first, second));
    assert!(may_begin().is_some());
    assert!(may_begin().is_none(), "three began in this minute");
}

#[tokio::test]
async fn a_turn_that_became_no_request_leaves_its_room_in_the_minute() {
    let endpoint = endpoint("http://127.0.0.1:9/", PhoneForm::Pcm16, 1);
    for _ in 0..3 {
        assert!(Arc::clone(&endpoint).turn().now_or_never().is_some());
    }
}
