//! A disk that is nearly full, and one that is full: new calls stay out, live ones lose nothing.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::Value;

use crate::{
    http::get,
    phone::{Phone, assert_whole, frames, recording},
    stage::{PATIENCE, Plan, Stage},
};

/// A file that takes space until it is dropped.
struct Ballast(PathBuf);

impl Ballast {
    fn of(folder: &Path, bytes: u64) -> Self {
        let path = folder.join("ballast");
        fallocate(File::create(&path).unwrap(), FallocateFlags::empty(), 0, bytes).unwrap();
        Self(path)
    }

    /// All there is.
    fn filling(folder: &Path) -> Self {
        let path = folder.join("ballast");
        let mut file = File::create(&path).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
        Self(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn free(folder: &Path) -> u64 {
    let disk = statvfs(folder).unwrap();
    disk.f_bavail * disk.f_frsize
}

/// Asks for readiness until it is so; the bridge looks at the disk each second.
async fn until_ready_is(stage: &Stage, ready: bool) -> Value {
    let asking = async {
        loop {
            let answer = get(stage, "/readyz").await.json();
            if answer["ready"] == ready {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it is noticed in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_refuses_new_calls_and_live_ones_finish() {
    let folder = std::env::temp_dir();
    // Other programs use the same disk meanwhile, so every step is large.
    let step = free(&folder) / 8;
    let settings = vec![("PULSE_BRIDGE_DISK_MIN_FREE", format!("{} B", free(&folder) - 2 * step))];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    until_ready_is(&stage, true).await;
    let audio = recording("mid-word");
    let half = frames(&audio) / 2;
    let mut live = Phone::dial(&stage, "CAlive").await;
    live.start().await;
    live.speak(&audio, 0..half).await;
    assert_eq!(stage.next_event().await["type"], "call.started");

    let ballast = Ballast::of(&stage.data_dir, 4 * step);
    let refusing = until_ready_is(&stage, false).await;
    assert_eq!((&refusing["disk"]["state"], &refusing["calls"]["state"]), (&"nearly_full".into(), &"refusing".into()));
    let reason = refusing["disk"]["reason"].as_str().unwrap();
    assert!(reason.contains("MiB free, calls are taken from") && reason.contains("make room"), "{reason}");
    assert_eq!(Phone::dial_to(&stage, "CAnew", "/media/twilio").await.map(|_| ()), Err(503));
    let metrics = get(&stage, "/metrics").await;
    assert!(metrics.text().contains(r#"pulse_bridge_streams_refused_total{reason="disk_nearly_full"} 1"#));
    live.speak(&audio, half..frames(&audio)).await;
    live.end().await;
    assert_whole(&stage.rest_of_events().await);

    drop(ballast);
    until_ready_is(&stage, true).await;
    let late = Phone::dial(&stage, "CAlate").await;
    late.vanish();
    stage.end().await;
}

/// A disk of its own of so many MiB, where this user may have one.
struct Disk(PathBuf);

impl Disk {
    fn of_mib(mib: u32) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("pulse-bridge-disk-{}", pulse_bridge::clock::ulid()));
        fs::create_dir_all(&folder).unwrap();
        let disk = Self(folder);
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(&disk.0).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_gets_the_reserve_so_that_a_live_call_is_stored_whole() {
    let Some(disk) = Disk::of_mib(48) else {
        eprintln!("skipped: this user may not mount a disk of its own");
        return;
    };
    let data_dir = disk.0.join("data");
    let settings = vec![
        ("PULSE_BRIDGE_DATA_DIR", data_dir.display().to_string()),
        ("PULSE_BRIDGE_DISK_RESERVE", "16 MiB".to_owned()),
        ("PULSE_BRIDGE_DISK_MIN_FREE", "4 MiB".to_owned()),
    ];
    let mut stage = Stage::with(Plan { settings, ..Plan::default() }).await;
    until_ready_is(&stage, true).await;
    assert_eq!(fs::metadata(data_dir.join("reserve")).unwrap().len(), 16 << 20);
    let audio = recording("mid-word");
    let half = frames(&audio) / 2;
    let mut live = Phone::dial(&stage, "CAlive").await;
    live.start().await;
    live.speak(&audio, 0..half).await;
    assert_eq!(stage.next_event().await["type"], "call.started");

    let ballast = Ballast::filling(&disk.0);
    live.speak(&audio, half..frames(&audio)).await;
    live.end().await;
    assert_whole(&stage.rest_of_events().await);
    assert!(!data_dir.join("reserve").exists(), "it was needed");
    assert!(until_ready_is(&stage, false).await["disk"]["reason"].as_str().unwrap().contains("gave up its reserve"));

    drop(ballast);
    until_ready_is(&stage, true).await;
    assert_eq!(fs::metadata(data_dir.join("reserve")).unwrap().len(), 16 << 20, "it is made anew");
    stage.end().await;
}
