//! The master keys under which each session's data key is kept.
//!
//! Promises: a key is never shown; the first key of the list wraps, every one of them unwraps, so that keys can rotate; a key
//! that is made here is on stable storage, readable by its owner alone, before it is used. Whoever loses it loses the
//! spooled audio and the stored text.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use ulid::Ulid;
use zeroize::Zeroizing;

use crate::{
    clock,
    media::SessionId,
    spool::seal::{DataKey, WrappedKey},
};

/// The file in `data_dir` that holds a key made here, as `id:base64`.
pub const KEY_FILE: &str = "master.key";

/// Why there is no usable master key.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// The list is empty or an item is not `id:base64`.
    #[error("a master key must be written `id:base64`, several separated by commas")]
    Form,
    /// The base64 does not hold 32 bytes.
    #[error("master key {0} must hold 32 bytes: make one with `openssl rand -base64 32`")]
    Length(String),
    /// Two keys have one id.
    #[error("two master keys are called {0}")]
    Twice(String),
    /// Others than its owner can read the file.
    #[error("{0} can be read by others: run `chmod 600` on it")]
    Exposed(String),
    /// The file cannot be read or made.
    #[error("failed to use {0}: {1}")]
    File(String, io::Error),
}

/// All master keys; the first one wraps.
pub struct MasterKeys(Vec<(String, DataKey)>);

impl MasterKeys {
    /// Reads the setting `key`: `id:base64`, several separated by commas.
    ///
    /// # Errors
    /// Says what is wrong without showing a key.
    pub fn parse(list: &SecretString) -> Result<Self, BadKey> {
        let mut keys: Vec<(String, DataKey)> = Vec::new();
        for item in list.expose_secret().split(',').map(str::trim) {
            let (id, text) = item.split_once(':').ok_or(BadKey::Form)?;
            if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
                return Err(BadKey::Form);
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(BadKey::Twice(id.to_owned()));
            }
            let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).map_err(|_| BadKey::Form)?);
            let bytes = bytes.as_slice().try_into().map_err(|_| BadKey::Length(id.to_owned()))?;
            keys.push((id.to_owned(), DataKey::new(bytes)));
        }
        Ok(Self(keys))
    }

    /// Reads [`KEY_FILE`] in `data_dir`, or makes it with mode 0600.
    ///
    /// # Errors
    /// If the file cannot be read or made, or others can read it.
    pub fn open_or_make(data_dir: &Path) -> Result<Self, BadKey> {
        let path = data_dir.join(KEY_FILE);
        let failed = |error| BadKey::File(path.display().to_string(), error);
        if let Some(keys) = Self::open(data_dir)? {
            remove_copies(data_dir).map_err(failed)?;
            return Ok(keys);
        }
        make(data_dir, &path).map_err(failed)?;
        Self::open(data_dir)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }

    /// Reads [`KEY_FILE`] in `data_dir`, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read, or others can read it.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, BadKey> {
        let path = data_dir.join(KEY_FILE);
        let name = path.display().to_string();
        match fs::metadata(&path) {
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => return Err(BadKey::Exposed(name)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BadKey::File(name, error)),
        }
        let text = fs::read_to_string(&path).map_err(|error| BadKey::File(name, error))?;
        Self::parse(&SecretString::from(text)).map(Some)
    }

    /// The id of the key that wraps.
    #[must_use]
    pub fn first_id(&self) -> &str {
        self.0.first().map_or("", |(id, _)| id)
    }

    /// The ids of the keys that only unwrap.
    pub fn older_ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().skip(1).map(|(id, _)| id.as_str())
    }

    /// Whether a key of this id is in the list.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|(known, _)| known == id)
    }

    /// Also unwraps with the key that was made in `data_dir` before one was set, if there is one: calls that were live then are sealed with it.
    ///
    /// # Errors
    /// If the file is there and cannot be read, or others can read it.
    pub fn with_made(mut self, data_dir: &Path) -> Result<Self, BadKey> {
        if data_dir.join(KEY_FILE).exists() {
            let made = Self::open_or_make(data_dir)?;
            self.0.extend(made.0.into_iter().filter(|(id, _)| self.0.iter().all(|(known, _)| known != id)).collect::<Vec<_>>());
        }
        Ok(self)
    }

    /// Makes a session's data key, wrapped under the first master key.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    #[must_use]
    pub fn new_data_key(&self, session: &SessionId) -> (DataKey, WrappedKey) {
        let data_key = DataKey::new(clock::random());
        let wrapped = self.wrap(session, &data_key);
        (data_key, wrapped)
    }

    /// Wraps a session's data key anew, under the first master key; `None` as in [`MasterKeys::data_key`].
    ///
    /// # Panics
    /// As [`MasterKeys::new_data_key`].
    #[must_use]
    pub fn rewrap(&self, session: &SessionId, wrapped: &WrappedKey) -> Option<WrappedKey> {
        self.data_key(session, wrapped).map(|data_key| self.wrap(session, &data_key))
    }

    fn wrap(&self, session: &SessionId, data_key: &DataKey) -> WrappedKey {
        let (id, master) = self.0.first().expect("a list of master keys has at least one");
        master.wrap(id, &clock::random(), session.as_str(), data_key)
    }

    /// Takes a session's data key out again; `None` if its master key is not in the list, or it was changed.
    #[must_use]
    pub fn data_key(&self, session: &SessionId, wrapped: &WrappedKey) -> Option<DataKey> {
        let (_, master) = self.0.iter().find(|(id, _)| *id == wrapped.key_id)?;
        master.unwrap(session.as_str(), wrapped)
    }
}

/// Written beside and renamed, so that a crash leaves either no key or a whole one.
fn make(data_dir: &Path, path: &Path) -> io::Result<()> {
    let beside = data_dir.join(format!("{KEY_FILE}.{}", clock::ulid()));
    let bytes = Zeroizing::new(clock::random::<32>());
    let text = Zeroizing::new(format!("k{}:{}\n", clock::ulid(), BASE64_STANDARD.encode(&bytes[..])));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // A link does not replace: of two that start at once, both use the key of the first.
    let linked = fs::hard_link(&beside, path);
    crate::failpoint!("keys.made");
    remove(&beside)?;
    fs::File::open(data_dir)?.sync_all()?;
    match linked {
        Err(error) if !path.exists() => Err(error),
        _ => Ok(()),
    }
}

/// Removes what a kill has left beside the key: a copy of it, or a key that was never used. One that is being made by another program at
/// this moment may go too; that one takes the key that is there.
fn remove_copies(data_dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let made = name.to_str().and_then(|name| name.strip_prefix(KEY_FILE)?.strip_prefix('.'));
        if made.is_some_and(|made| Ulid::from_string(made).is_ok()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Somebody else may have been quicker.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::driver::tests::Folder;

    fn keys(list: &str) -> Result<MasterKeys, BadKey> {
        MasterKeys::parse(&list.into())
    }

    fn key(byte: u8) -> String {
        BASE64_STANDARD.encode([byte; 32])
    }

    fn session() -> SessionId {
        SessionId::new("ses_1").unwrap()
    }

    #[test]
    fn the_first_key_wraps_and_every_key_unwraps() {
        let old = keys(&format!("old:{}", key(1))).unwrap();
        let (data_key, wrapped) = old.new_data_key(&session());
        let rotated = keys(&format!("new:{}, old:{}", key(2), key(1))).unwrap();
        assert_eq!(rotated.new_data_key(&session()).1.key_id, "new");
        assert_eq!(rotated.data_key(&session(), &wrapped).unwrap().derive("x"), data_key.derive("x"));
        assert!(keys(&format!("new:{}", key(2))).unwrap().data_key(&session(), &wrapped).is_none());
        assert!(rotated.data_key(&SessionId::new("ses_2").unwrap(), &wrapped).is_none());
    }

    #[test]
    fn a_data_key_that_was_wrapped_anew_is_the_same_and_needs_the_old_master_key_no_more() {
        let (data_key, wrapped) = keys(&format!("old:{}", key(1))).unwrap().new_data_key(&session());
        let both = keys(&format!("new:{},old:{}", key(2), key(1))).unwrap();
        assert_eq!((both.older_ids().collect::<Vec<_>>(), both.has("old"), both.has("older")), (vec!["old"], true, false));
        let anew = both.rewrap(&session(), &wrapped).unwrap();
        let without = keys(&format!("new:{}", key(2))).unwrap();
        assert_eq!(without.data_key(&session(), &anew).unwrap().derive("x"), data_key.derive("x"));
        assert!(without.rewrap(&session(), &wrapped).is_none());
    }

    #[test]
    fn a_key_that_was_made_before_one_was_set_still_unwraps() {
        let folder = Folder::new();
        let (data_key, wrapped) = MasterKeys::open_or_make(&folder.0).unwrap().new_data_key(&session());
        let set = keys(&format!("k1:{}", key(1))).unwrap().with_made(&folder.0).unwrap();
        assert_eq!(set.new_data_key(&session()).1.key_id, "k1");
        assert_eq!(set.data_key(&session(), &wrapped).unwrap().derive("x"), data_key.derive("x"));
        assert!(set.with_made(&folder.0.join("missing")).is_ok(), "there need not be one");
    }

    #[test]
    fn a_bad_list_is_told_without_showing_a_key() {
        assert!(matches!(keys(""), Err(BadKey::Form)));
        assert!(matches!(keys("k1"), Err(BadKey::Form)));
        assert!(matches!(keys(&format!("k 1:{}", key(1))), Err(BadKey::Form)));
        assert!(matches!(keys("k1:!"), Err(BadKey::Form)));
        assert!(matches!(keys("k1:AAAA"), Err(BadKey::Length(id)) if id == "k1"));
        assert!(matches!(keys(&format!("a:{0},a:{0}", key(1))), Err(BadKey::Twice(_))));
        let told = keys(&format!("a:{0},a:{0}", key(1))).err().unwrap().to_string();
        assert!(!told.contains(&key(1)[..8]));
    }

    #[test]
    fn a_made_key_is_found_again_and_is_its_owners_alone() {
        let folder = Folder::new();
        let (data_key, wrapped) = MasterKeys::open_or_make(&folder.0).unwrap().new_data_key(&session());
        let again = MasterKeys::open_or_make(&folder.0).unwrap();
        assert_eq!(again.data_key(&session(), &wrapped).unwrap().derive("x"), data_key.derive("x"));
        let path = folder.0.join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        let [copy, other] = [clock::ulid().to_string(), "old".to_owned()].map(|end| folder.0.join(format!("{KEY_FILE}.{end}")));
        for copy in [&copy, &other] {
            fs::copy(&path, copy).unwrap();
        }
        MasterKeys::open_or_make(&folder.0).unwrap();
        assert!(!copy.exists() && other.exists(), "what a kill left goes, what somebody else made stays");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(MasterKeys::open_or_make(&folder.0), Err(BadKey::Exposed(_))));
        assert!(matches!(MasterKeys::open_or_make(&folder.0.join("missing")), Err(BadKey::File(..))));
    }
}
