//! How many sockets there is room for, out of how many files the system lets this process open.
//!
//! Promises: what the calls, the database and the spool need is set aside first; what strangers may hold is a share of the rest, so that no
//! number of them keeps a call from a socket; all of it is known at the start and told where it is less than the settings ask for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most connections at once beside one for each call that is allowed, `WebSockets` included; beyond it new ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 20_000;
/// Most connections of one address that have not shown who they are. Generous, since calls behind a load balancer share its address.
pub const STRANGERS_EACH: usize = 4_096;
/// Most connections of all addresses that have not shown who they are.
pub const STRANGERS: usize = 8_192;
/// Most sockets of one address that were upgraded and have begun no call yet.
pub const UNSTARTED_EACH: usize = 2_048;
/// Most sockets of all addresses that were upgraded and have begun no call yet.
pub const UNSTARTED: usize = 4_096;
/// Files that are open beside calls and connections: the database, the listener, the runtime, deliveries under way.
const BASE_FILES: usize = 256;
/// Files of one call: the phone's socket, two links, two spooled tracks.
const FILES_PER_CALL: usize = 5;
/// What is counted with where the system sets no limit.
const NO_LIMIT: usize = 1_000_000;

/// How many of what may be there at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Files that this process may open.
    pub files: usize,
    /// Connections, `WebSockets` included.
    pub connections: usize,
    /// Strangers of one address, and together.
    pub strangers: (usize, usize),
    /// Sockets without a call of one address, and together.
    pub unstarted: (usize, usize),
    /// Files that would be needed for as many calls as the settings allow and all these strangers.
    pub needed: usize,
}

impl Room {
    /// Shares `files` out where `calls` may be on the line at once.
    #[must_use]
    pub fn of(files: usize, calls: usize) -> Self {
        let strangers = STRANGERS.min(files / 4).max(1);
        let unstarted = UNSTARTED.min(files / 8).max(1);
        // The links and the spool of every call are not ours to give away; but half of all files are for sockets in any case.
        let aside = BASE_FILES + calls.saturating_mul(FILES_PER_CALL - 1);
        let connections = files.saturating_sub(aside).max(files / 2).clamp(1, MAX_CONNECTIONS + calls);
        let needed = BASE_FILES + calls.saturating_mul(FILES_PER_CALL) + strangers + unstarted;
        Self {
            files,
            connections,
            strangers: (STRANGERS_EACH.min(strangers), strangers),
            unstarted: (UNSTARTED_EACH.min(unstarted), unstarted),
            needed,
        }
    }

    /// As [`Room::of`], out of what this process may open now.
    #[must_use]
    pub fn of_this_process(calls: usize) -> Self {
        Self::of(files_allowed(), calls)
    }

    /// What to tell the operator where the settings allow more calls than there are files for.
    #[must_use]
    pub fn warning(&self, calls: usize) -> Option<String> {
        let Self { files, needed, .. } = self;
        (needed > files).then(|| {
            format!(
                "this process may open {files} files, and ingest.max_calls = {calls} can need {needed}; raise the limit (ulimit -Hn, \
                 LimitNOFILE=) or lower ingest.max_calls"
            )
        })
    }
}

/// Raises the number of files this process may open to what it is allowed to ask for. Gives that number.
pub fn raise_file_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where the system says no after all, the limit stays, and the shares are made from what it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    files_allowed()
}

fn files_allowed() -> usize {
    let allowed = getrlimit(Resource::Nofile).current;
    allowed.map_or(NO_LIMIT, |files| usize::try_from(files).unwrap_or(NO_LIMIT)).min(NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_need_is_set_aside_before_anybody_else_is_let_in() {
        let usual = Room::of(20_000, 1_000);
        assert_eq!((usual.strangers, usual.unstarted), ((4_096, 5_000), (2_048, 2_500)));
        assert_eq!(usual.connections, 20_000 - 256 - 4_000);
        assert!(usual.strangers.1 + usual.unstarted.1 + 1_000 < usual.connections, "calls find a place beside all the others");
        assert_eq!(usual.warning(1_000), None);
        let plenty = Room::of(NO_LIMIT, 1_000);
        assert_eq!((plenty.connections, plenty.strangers.1, plenty.unstarted.1), (21_000, STRANGERS, UNSTARTED));
    }

    #[test]
    fn few_files_are_shared_out_and_told() {
        let few = Room::of(1_024, 1_000);
        assert_eq!((few.connections, few.strangers, few.unstarted), (512, (256, 256), (128, 128)));
        let warning = few.warning(1_000).unwrap();
        assert!(warning.contains("1024 files") && warning.contains("ingest.max_calls = 1000"), "{warning}");
        assert_eq!(Room::of(1_024, 20).warning(20), None);
        let none = Room::of(0, 0);
        assert_eq!((none.connections, none.strangers, none.unstarted), (1, (1, 1), (1, 1)));
    }

    #[test]
    fn the_limit_is_raised_to_what_may_be_asked_for() {
        let allowed = getrlimit(Resource::Nofile).maximum.map_or(NO_LIMIT, |files| usize::try_from(files).unwrap());
        assert_eq!(raise_file_limit(), allowed.min(NO_LIMIT));
        assert_eq!(Room::of_this_process(1).files, raise_file_limit());
    }
}
