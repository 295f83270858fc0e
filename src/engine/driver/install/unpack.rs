//! Taking files out of a wheel.
//!
//! Promises: the names are ours, never the wheel's; each file is on stable storage when it is told; a wheel is unpacked only behind its hash.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use sha2::{Digest, Sha256};
use zip::{ZipArchive, result::ZipError};

use super::Failed;
use crate::{
    engine::{files::Entry, wheels::Contents},
    hex::hex,
};

/// Read at once.
const PIECE: usize = 256 << 10;

/// A file's SHA-256, in hexadecimal digits.
pub(super) fn hash(path: &Path) -> io::Result<String> {
    Ok(copy(&mut File::open(path)?, &mut io::sink())?.1)
}

/// Takes a part's files out of a wheel into a folder, which is made.
pub(super) fn unpack(wheel: &Path, contents: &Contents, folder: &Path) -> Result<Vec<Entry>, Failed> {
    let broken = |why: ZipError| match why {
        ZipError::Io(why) => Failed::of_file("read", wheel, why),
        why => Failed::Wheel { file: wheel.to_path_buf(), why: why.to_string() },
    };
    let file = File::open(wheel).map_err(|why| Failed::of_file("read", wheel, why))?;
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(broken)?;
    fs::create_dir_all(folder).map_err(|why| Failed::of_file("make", folder, why))?;
    let mut entries = Vec::new();
    for (inside, name) in contents.files {
        let mut from = archive.by_name(inside).map_err(broken)?;
        let path = folder.join(name);
        let written = File::create(&path).and_then(|mut to| {
            let (bytes, sha256) = copy(&mut from, &mut to)?;
            to.sync_all()?;
            Ok(Entry { name: (*name).to_owned(), bytes, sha256 })
        });
        entries.push(written.map_err(|why| Failed::of_file("write", &path, why))?);
    }
    Ok(entries)
}

/// What a file of a part is.
pub(super) fn entry(folder: &Path, name: &str) -> io::Result<Entry> {
    let (bytes, sha256) = copy(&mut File::open(folder.join(name))?, &mut io::sink())?;
    Ok(Entry { name: name.to_owned(), bytes, sha256 })
}

/// How much it was, and its SHA-256.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok((bytes, hex(&hash.finalize()))),
            Ok(read) => read,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            Err(why) => return Err(why),
        };
        hash.update(&piece[..read]);
        to.write_all(&piece[..read])?;
        bytes += read as u64;
    }
}
