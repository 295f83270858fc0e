use super::*;

const TRACK: TrackKey = TrackKey { stream: 1, track: Track::Outbound };

fn session(n: u64) -> SessionId {
    SessionId::new(&format!("ses_{}", Ulid::from_parts(n, n.into()))).unwrap()
}

fn frame(n: u64) -> Frame {
    Frame { offset: Offset(n * 480), at_ms: n * 60, audio: vec![u8::try_from(n).unwrap(); 480].into() }
}

fn file(frames: u64) -> Vec<u8> {
    let mut file = Vec::new();
    for n in 0..frames {
        let nonce = [u8::try_from(n).unwrap(); NONCE_BYTES];
        write_frame(&mut file, &key(), &session(1), TRACK, &frame(n), &nonce);
    }
    file
}

fn key() -> DataKey {
    DataKey::new([9; 32])
}

#[test]
fn frames_come_back_as_they_were_and_nothing_lies_in_the_clear() {
    let file = file(5);
    let scan = scan(&file, &key(), &session(1), TRACK);
    assert_eq!(scan.frames, (0..5).map(frame).collect::<Vec<_>>());
    assert_eq!((scan.whole_bytes, scan.unreadable.len()), (file.len(), 0));
    assert!(!file.windows(32).any(|window| window == [3; 32]));
}

#[test]
fn a_file_cut_anywhere_gives_every_whole_frame_and_nothing_else() {
    let file = file(4);
    let one = file.len() / 4;
    for cut in 0..=file.len() {
        let scan = scan(&file[..cut], &key(), &session(1), TRACK);
        assert_eq!((scan.frames.len(), scan.whole_bytes), (cut / one, cut / one * one), "cut at {cut}");
    }
}

#[test]
fn a_changed_byte_costs_its_frame_and_one_of_its_length_what_follows_too() {
    let good = file(3);
    let one = good.len() / 3;
    for at in one..2 * one {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let scan = scan(&bad, &key(), &session(1), TRACK);
        let expected = if at < one + 4 { (vec![0], one) } else { (vec![0, 120], good.len()) };
        let times: Vec<u64> = scan.frames.iter().map(|frame| frame.at_ms).collect();
        assert_eq!(((times, scan.whole_bytes), scan.unreadable.len()), (expected, 0), "changed at {at}");
    }
}

#[test]
fn zeros_behind_the_last_frame_are_a_torn_tail() {
    let mut padded = file(2);
    let whole = padded.len();
    padded.extend([0; 4096]);
    let scan = scan(&padded, &key(), &session(1), TRACK);
    assert_eq!((scan.frames.len(), scan.whole_bytes), (2, whole));
}

#[test]
fn frames_of_another_session_track_or_key_are_set_aside() {
    let file = file(2);
    let other = TrackKey { stream: 2, ..TRACK };
    for scan in [
        scan(&file, &key(), &session(2), TRACK),
        scan(&file, &key(), &session(1), other),
        scan(&file, &DataKey::new([8; 32]), &session(1), TRACK),
    ] {
        assert_eq!((scan.frames.len(), scan.unreadable.len(), scan.whole_bytes), (0, 2, file.len()));
    }
}

#[test]
fn names_are_read_back_and_no_other_file_is_taken_for_ours() {
    let name = FileName { session: session(3), track: TRACK, first: Offset(0x1234) };
    let text = name.render().unwrap();
    assert!(text.ends_with("-1-outbound-0000000000001234.spool"), "{text}");
    assert_eq!(FileName::parse(&text), Some(name.clone()));
    for foreign in ["", "master.key", "x-1-inbound-0.spool", &text[1..], &text.replace("outbound", "sideways")] {
        assert_eq!(FileName::parse(foreign), None, "{foreign}");
    }
    let climbing = SessionId::new("ses_../../etc/passwd").unwrap();
    assert_eq!(FileName { session: climbing, ..name }.render(), None);
}
