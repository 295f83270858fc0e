//! `SQLite`'s way to its files, with every change recorded.
//!
//! Promises: each file is the system's own, opened by `SQLite`'s own code; only writing, cutting, syncing and deleting pass through here on
//! their way, for databases in a folder that was [`watch`]ed. What `SQLite` syncs by itself inside (the folder of a new log or journal, at
//! its first sync) is recorded as its code does it.
#![expect(unsafe_code, reason = "SQLite calls its file system through C function pointers")]

use std::{
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, Mutex, OnceLock},
};

use rusqlite::ffi;

use crate::disk::Disk;

static WATCHED: Mutex<Vec<(PathBuf, Arc<Disk>)>> = Mutex::new(Vec::new());

/// Records what is done to databases in this folder from now on.
pub(crate) fn watch(folder: &Path, disk: &Arc<Disk>) {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(register);
    WATCHED.lock().unwrap().push((folder.to_owned(), Arc::clone(disk)));
}

/// Databases that are opened there from now on are nobody's matter.
pub(crate) fn forget(folder: &Path) {
    WATCHED.lock().unwrap().retain(|(watched, _)| watched != folder);
}

/// What stands behind each open file, where the system's own part of it ends.
struct Opened {
    methods: ffi::sqlite3_io_methods,
    real: *const ffi::sqlite3_io_methods,
    disk: Arc<Disk>,
    file: usize,
    is_log: bool,
    /// Its folder is synced with it the next time: `unixSync` of `SQLite`'s os_unix.c, flag `UNIXFILE_DIRSYNC`.
    syncs_names: bool,
}

fn real() -> *mut ffi::sqlite3_vfs {
    static REAL: OnceLock<usize> = OnceLock::new();
    let address = REAL.get_or_init(|| {
        // SAFETY: a name that ends in 0; the answer lives as long as the process.
        unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) as usize }
    });
    ptr::with_exposed_provenance_mut(*address)
}

fn register() {
    // SAFETY: SQLite's own table is copied while nobody changes it; the copy is never freed.
    unsafe {
        assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
        let mut table = *real();
        table.szOsFile = state_at() + c_int::try_from(size_of::<*mut Opened>()).unwrap();
        table.zName = c"power".as_ptr();
        table.pNext = ptr::null_mut();
        table.xOpen = Some(open);
        table.xDelete = Some(delete);
        assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(Box::new(table)), 1), ffi::SQLITE_OK);
    }
}

/// Where in a file's memory our pointer stands.
fn state_at() -> c_int {
    // SAFETY: the table lives as long as the process.
    (unsafe { (*real()).szOsFile } + 15) & !15
}

/// # Safety
/// `file` must have been opened by [`open`] with a state.
unsafe fn state<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Opened {
    // SAFETY: open() wrote the pointer there, and SQLite calls one file's methods one at a time.
    unsafe { &mut **slot(file) }
}

fn slot(file: *mut ffi::sqlite3_file) -> *mut *mut Opened {
    file.cast::<c_char>().wrapping_add(usize::try_from(state_at()).unwrap()).cast()
}

/// The disk and the name there, for a database's file in a watched folder.
fn watched(name: *const c_char) -> Option<(Arc<Disk>, String)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite hands in a path that ends in 0.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    let watched = WATCHED.lock().unwrap();
    let (_, disk) = watched.iter().find(|(folder, _)| path.parent() == Some(folder))?;
    Some((Arc::clone(disk), path.file_name()?.to_str()?.to_owned()))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    const LASTING: c_int = ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL | JOURNALS;
    const JOURNALS: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
    // SAFETY: SQLite gave as much memory as the table asks for; the system's part comes first and is opened by the system's own function.
    unsafe {
        let code = (*real()).xOpen.unwrap()(real(), name, file, flags, out);
        let found = watched(name).filter(|_| code == ffi::SQLITE_OK && flags & LASTING != 0);
        let Some((disk, name)) = found else { return code };
        let real = (*file).pMethods;
        let mut methods = *real;
        methods.xClose = Some(close);
        methods.xWrite = Some(write);
        methods.xTruncate = Some(truncate);
        methods.xSync = Some(sync);
        let syncs_names = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & (JOURNALS | ffi::SQLITE_OPEN_WAL) != 0;
        let (number, is_log) = (disk.file(&name), flags & ffi::SQLITE_OPEN_WAL != 0);
        let opened = Box::into_raw(Box::new(Opened { methods, real, disk, file: number, is_log, syncs_names }));
        *slot(file) = opened;
        (*file).pMethods = &raw const (*opened).methods;
        code
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as state(); the state is freed once, behind the last call.
    unsafe {
        let opened = Box::from_raw(*slot(file));
        (*file).pMethods = opened.real;
        (*opened.real).xClose.unwrap()(file)
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: as state(); SQLite hands in `count` bytes.
    unsafe {
        let state = state(file);
        let fails = state.disk.refuses();
        // What a full disk takes of it.
        let count = if fails { count / 2 } else { count };
        let code = (*state.real).xWrite.unwrap()(file, bytes, count, at);
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(count).unwrap());
        state.disk.write(state.file, at.unsigned_abs(), bytes);
        if fails { ffi::SQLITE_FULL } else { code }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: as state().
    unsafe {
        let state = state(file);
        if state.disk.refuses() {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        let code = (*state.real).xTruncate.unwrap()(file, length);
        state.disk.cut(state.file, length.unsigned_abs());
        code
    }
}

/// The power is only said to go, so nothing is synced in earnest.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: as state().
    let state = unsafe { state(file) };
    if state.disk.refuses() {
        state.disk.fail_to_sync(state.file);
        return ffi::SQLITE_IOERR_FSYNC;
    }
    if state.is_log {
        state.disk.log_syncs();
    }
    state.disk.sync(state.file);
    if std::mem::take(&mut state.syncs_names) {
        state.disk.sync_names("");
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, syncs_names: c_int) -> c_int {
    // SAFETY: the call is handed on as it came.
    let code = unsafe { (*real()).xDelete.unwrap()(real(), name, 0) };
    if let Some((disk, name)) = watched(name).filter(|_| code == ffi::SQLITE_OK) {
        disk.remove(&name);
        if syncs_names != 0 {
            disk.sync_names("");
        }
    }
    code
}
