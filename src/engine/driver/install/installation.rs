//! One installation, from what is missing to what is there.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
};

use super::{Failed, Progress, Say, convert, damage, find_in, is_there_by, pip, place, place::Place, terms::Terms, unpack};
use crate::engine::{
    files::{FOLDER, Files, Manifest, Model, Part},
    wheels::{Contents, Wheel, megabytes},
};

/// Name of ONNX Runtime's licence in its part: the wheel has none.
const RUNTIME_LICENCE: &str = "LICENSE";
/// What that says.
const RUNTIME_LICENCE_TEXT: &str = include_str!("onnxruntime-license.txt");
/// Taken beyond what is counted, for folders and for file systems that round up.
const SLACK: u64 = 4 << 20;

/// Puts what a model needs in place; what is there already stays, unless `is_strict` finds that its bytes have changed.
pub(super) fn install(
    terms: &Terms<'_>,
    data_dir: &Path,
    model: Model,
    given: &[PathBuf],
    is_strict: bool,
    say: &Say,
) -> Result<Files, Failed> {
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
    let engine = data_dir.join(FOLDER);
    if missing(terms, &engine, model, is_strict)?.is_empty() {
        return Ok(Files::in_folder(&data_dir, model));
    }
    terms.check_system()?;
    let place = Place::take(&engine, say)?;
    // Whoever was waited for may have done it.
    let mut open: VecDeque<(Part, Wheel)> = missing(terms, &engine, model, is_strict)?.into();
    let mut needed: Vec<Wheel> = open.iter().map(|(_, wheel)| *wheel).collect();
    needed.dedup();
    let mut wheels = wheels(terms, &place, model, &needed, given, say)?;
    while let Some((wheel, file)) = wheels.pop_front() {
        say(Progress::Says(format!("unpacking {} {}", wheel.package, wheel.version)));
        while let Some((part, _)) = open.pop_front_if(|(_, other)| other.sha256 == wheel.sha256) {
            let contents = wheel.of(part).expect("it was chosen for this part");
            put(&place, &data_dir, &wheel, &file, contents, say)?;
        }
        if file.starts_with(place.unfinished()) {
            // Its space may be wanted by the next.
            let _ = fs::remove_file(&file);
        }
    }
    drop(place);
    Ok(find_in(terms, &data_dir, model)?)
}

/// What is not there, each with the wheel that has it, in the order in which it is put in place.
fn missing(terms: &Terms<'_>, engine: &Path, model: Model, is_strict: bool) -> Result<Vec<(Part, Wheel)>, Failed> {
    let is_missing = |part: &Part| match is_there_by(terms, engine, *part) {
        Ok(manifest) => is_strict && damage(engine, *part, &manifest).is_some(),
        Err(_) => true,
    };
    model.parts().into_iter().filter(is_missing).map(|part| Ok((part, terms.wheel_of(part)?))).collect()
}

/// The needed wheels as files whose hashes are right, in that order.
fn wheels(
    terms: &Terms<'_>,
    place: &Place,
    model: Model,
    needed: &[Wheel],
    given: &[PathBuf],
    say: &Say,
) -> Result<VecDeque<(Wheel, PathBuf)>, Failed> {
    let unpacked: u64 = needed.iter().flat_map(|wheel| wheel.contents).map(|contents| contents.bytes).sum();
    if !given.is_empty() {
        // An accurate model is there twice while it is converted.
        place.has_space(unpacked * 2 + SLACK)?;
        return by_hand(terms, model, needed, given);
    }
    let all: u64 = needed.iter().map(|wheel| wheel.bytes).sum();
    // pip has a file twice for a moment.
    place.has_space(all * 2 + unpacked * 2 + SLACK)?;
    let pip = pip::find(terms.pips).ok_or_else(|| Failed::NoPip(needed.to_vec()))?;
    let how = "from the Python package index with this machine's pip, once";
    say(Progress::Says(format!("fetching the speech engine, {}, {how}", megabytes(all))));
    let fetch = |wheel: &Wheel| {
        let file = pip::fetch(pip, wheel, &place.unfinished(), say)?;
        let found = unpack::hash(&file).map_err(|why| Failed::of_file("read", &file, why))?;
        if found == wheel.sha256 { Ok((*wheel, file)) } else { Err(Failed::Hash { wheel: Box::new(*wheel), found }) }
    };
    needed.iter().map(fetch).collect()
}

/// The same, of files that somebody has brought; one of the model's that is not needed any more is no mistake.
fn by_hand(terms: &Terms<'_>, model: Model, needed: &[Wheel], given: &[PathBuf]) -> Result<VecDeque<(Wheel, PathBuf)>, Failed> {
    let all = model.parts().into_iter().map(|part| terms.wheel_of(part)).collect::<Result<Vec<_>, _>>()?;
    let mut known = Vec::new();
    for file in given {
        let found = unpack::hash(file).map_err(|why| Failed::of_file("read", file, why))?;
        known.push((found, file));
    }
    if let Some((found, file)) = known.iter().find(|(found, _)| all.iter().all(|wheel| wheel.sha256 != *found)) {
        return Err(Failed::NotWanted { file: (*file).clone(), found: found.clone(), needed: needed.to_vec() });
    }
    let of = |wheel: &Wheel| match known.iter().find(|(found, _)| wheel.sha256 == *found) {
        Some((_, file)) => Ok((*wheel, (*file).clone())),
        None => Err(Failed::NotGiven { model: model.as_str(), wheel: Box::new(*wheel) }),
    };
    needed.iter().map(of).collect()
}

/// Makes one part of its wheel.
fn put(place: &Place, data_dir: &Path, wheel: &Wheel, file: &Path, contents: &Contents, say: &Say) -> Result<(), Failed> {
    let folder = place.unfinished().join(contents.part.as_str());
    let mut files = unpack::unpack(file, contents, &folder)?;
    let mut new = Vec::new();
    match contents.part {
        Part::Fast => {}
        Part::Runtime => {
            let path = folder.join(RUNTIME_LICENCE);
            place::write(&path, RUNTIME_LICENCE_TEXT.as_bytes()).map_err(|why| Failed::of_file("write", &path, why))?;
            new.push(path);
        }
        Part::Accurate => {
            say(Progress::Says("converting the accurate model for this machine, once".to_owned()));
            let library = Files::in_folder(data_dir, Model::Accurate).runtime;
            let is_shipped = |name: &str| Path::new(name).extension() == Some("ort".as_ref());
            for entry in files.extract_if(.., |entry| is_shipped(&entry.name)) {
                let model = folder.join(entry.name);
                new.push(convert::convert(&library, &model).map_err(|why| Failed::Convert(format!("{why:#}")))?);
            }
        }
    }
    for path in new {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        files.push(unpack::entry(&folder, &name).map_err(|why| Failed::of_file("read", &path, why))?);
    }
    let (package, version) = (wheel.package.to_owned(), wheel.version.to_owned());
    place.finish(contents.part, &Manifest { package, version, wheel_sha256: wheel.sha256.to_owned(), files })
}
