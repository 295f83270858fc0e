//! What the next connection takes over when the one in use is lost or leaves something unsaid.

use super::*;

#[test]
fn a_next_connection_that_opens_while_the_other_is_being_given_up_takes_its_place() {
    let mut rig = Rig::rotating();
    rig.talk(9_000);
    rig.hear(r#"{"type":"error","message":"internal error"}"#);
    rig.next_ready();
    rig.wait(6_000);
    assert_eq!(rig.said("")[rig.log.len() - 3..], ["reconnecting 1 error_frame", "swap", "live"], "{:?}", rig.log);
    assert_eq!(rig.end().reconnects, 1);
}
