//! The calls, and the frames in which a service or a phone quotes what was said.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::script::{AGENT, CALLER, Frame, Line, Talk};

pub(crate) const SPOKEN: &str = "CAspoken";
pub(crate) const FAILING: &str = "CAfailing";
pub(crate) const PAUSED: &str = "CApaused";
pub(crate) const KILLED: &str = "CAkilled";

/// Everything at once, as somebody would quote it.
pub(crate) const QUOTE: &str = "my name is Zyndrakell Vossumbrake and I live at 2207 Borrowmeath Terrace, my card number is 4716829355027185 \
    again 4716 8293 5502 7185, my social security number is 583-47-9162, my phone number is 469-837-2590, my email is \
    orlunda.fenwhistle@quillmorrow.com, my password is brontoxylix, my IBAN is DE71 3709 2746 5180 3927 46, my account number is \
    73920485163, my routing number is 063917583, the other card is five three nine eight six zero four seven two nine one five eight \
    six three two, the security code is seven three nine, I was born on 03/17/1958, I am member MB-684029 at Krellivane Holdings, my pin \
    is 580417, the other pin is 926481, I call from +19725068314 to +18327419650, cards are 4027693184520735 and 4485-0396-7218-3567";

/// The whole of a call where everything works.
pub(crate) fn spoken() -> Talk {
    let talk = Talk::default()
        .says(AGENT, "thank you for calling may I have your full name please")
        .says(CALLER, "my name is Zyndrakell Vossumbrake")
        .says(AGENT, "thank you Zyndrakell Vossumbrake and your date of birth")
        .says(CALLER, "march seventeenth nineteen fifty eight")
        .says(AGENT, "so that is 03/17/1958 and what is your address")
        .says(CALLER, "8461 Fennigrath Lane")
        .says(AGENT, "and your email address please")
        .says(CALLER, "orlunda.fenwhistle@quillmorrow.com")
        .says(AGENT, "so orlunda dot fenwhistle at quillmorrow dot com")
        .says(AGENT, "what is the best phone number to call you back")
        .says(CALLER, "it's 469-837-2590")
        .says(AGENT, "four six nine eight three seven two five nine zero is that right")
        .says(CALLER, "yes")
        .says(AGENT, "and your mailing address please")
        .says(CALLER, "it's 2207 Borrowmeath Terrace");
    let talk = talk
        .says(AGENT, "please read me the card number")
        .says(CALLER, "sure it's 4716 8293")
        .says(CALLER, "5502 7185 okay")
        .says(AGENT, "I have four seven one six eight two nine three")
        .says(AGENT, "five five oh two 7185 correct")
        .says(CALLER, "yes that is correct")
        .says(AGENT, "and the security code on the back")
        .says(CALLER, "seven three nine")
        .says(AGENT, "739 thank you")
        .says(CALLER, "I also have another card")
        .says(AGENT, "go ahead with the card number")
        .says(CALLER, "fifty three ninety eight sixty forty seven")
        .says(CALLER, "twenty nine fifteen eighty six thirty two")
        .says(AGENT, "5398 6047 2915 8632 thank you");
    let talk = talk
        .says(AGENT, "what is your social security number")
        .says(CALLER, "five eight three 47")
        .says(CALLER, "9162")
        .says(AGENT, "583-47-9162 got it")
        .says(AGENT, "your bank account number please")
        .shown(CALLER, "it is [ACCOUNTNUMBER_1] 5163", "it is 7392048 5163")
        .says(AGENT, "that is account number 73920485163")
        .says(AGENT, "and the routing number")
        .says(CALLER, "zero six three nine one seven five eight three")
        .says(AGENT, "the IBAN please")
        .says(CALLER, "DE71 3709 2746 5180 3927 46");
    talk.says(AGENT, "what is your password")
        .says(CALLER, "my password is brontoxylix")
        .says(AGENT, "and your pin")
        .says(CALLER, "580417")
        .says(AGENT, "your member number")
        .says(CALLER, "MB-684029 at Krellivane Holdings")
        .shown(CALLER, "I am [PERSON_1] as I said", "I am Zyndrakell Vossumbrake as I said")
        .says(AGENT, "now type your card number on the keypad")
        .types("4027693184520735#")
        .says(AGENT, "and please enter your pin")
        .types("926481#")
        .says(AGENT, "thank you goodbye")
        .waits(6_000)
}

/// Each connection of a call is told something broken that quotes the caller, then goes on elsewhere.
pub(crate) fn failing() -> Vec<Talk> {
    let said = "my card number is 4716 8293 5502 7185";
    let begin = || Talk::default().says(AGENT, "please read me the card number").says(CALLER, said);
    let error = json!({"type": "error", "status": "error", "message": QUOTE, "error": {"message": QUOTE, "code": QUOTE},
        "errors": [QUOTE], "error_code": "4716829355027185"});
    let broken = [
        format!("{{\"type\":\"transcription\",\"transcript\":\"{QUOTE}"),
        format!("[\"{QUOTE}\"]"),
        QUOTE.to_owned(),
        json!({"type": QUOTE, "transcript": QUOTE}).to_string(),
        json!({"type": "transcription", "transcript": {"text": QUOTE}, "is_final": QUOTE}).to_string(),
        json!({"type": "speech_started", "timestamp": QUOTE}).to_string(),
        json!({"type": "warning", "message": QUOTE, "session_id": QUOTE}).to_string(),
    ];
    let broken = broken.map(Frame::Text);
    vec![
        begin().sends(CALLER, broken).sends(CALLER, [Frame::Text(error.to_string()), Frame::Close(1011, CLOSING)]),
        begin().sends(CALLER, [Frame::Close(1008, CLOSING)]),
        begin(),
    ]
}

/// A close frame has room for 123 bytes.
const CLOSING: &str = "Zyndrakell Vossumbrake said 4716 8293 5502 7185 and five eight three four seven nine one six two";

/// How long the phone of the failing call talks, in milliseconds.
pub(crate) const FAILING_MS: u64 = 12_000;

/// A call with a question before its pause, and keys in it.
pub(crate) fn paused() -> Talk {
    Talk::default()
        .says(AGENT, "please read me the card number")
        .says(CALLER, "it's 4716 8293")
        .types("4027693184520735#")
        .says(CALLER, "5502 7185")
        .waits(1_500)
}

/// The two lives of a call whose bridge is killed: it goes on behind the last final that was stored.
pub(crate) fn killed() -> [Talk; 2] {
    let first = Talk::default()
        .says(CALLER, "hello there")
        .says(AGENT, "what is your social security number")
        .says(CALLER, "583 47")
        .says(CALLER, "9162 and my name is Zyndrakell Vossumbrake")
        .says(AGENT, "and the card number")
        .says(CALLER, "4716 8293")
        .waits(3_000);
    let second = Talk::default().says(CALLER, "my card number is 4716 8293 5502 7185").says(AGENT, "583-47-9162");
    [first, second]
}

/// By call, what the service says on each attempt.
pub(crate) fn scripts() -> HashMap<String, Vec<Vec<Line>>> {
    let lines = |talks: Vec<Talk>| talks.into_iter().map(|talk| talk.lines).collect();
    HashMap::from([
        (SPOKEN.to_owned(), lines(vec![spoken()])),
        (FAILING.to_owned(), lines(failing())),
        (PAUSED.to_owned(), lines(vec![paused()])),
        (KILLED.to_owned(), lines(killed().into())),
    ])
}

/// Parameters that somebody put into TwiML: what a bridge's user may know of a caller.
pub(crate) fn parameters() -> Value {
    json!({"card": "4485-0396-7218-3567", "ssn": "583-47-9162", "email": "orlunda.fenwhistle@quillmorrow.com",
        "phone": "469-837-2590", "note": "customer says my name is Zyndrakell Vossumbrake, card 4485 0396 7218 3567",
        "account_number": "73920485163", "password": "brontoxylix", "pin": "580417", "tenant": "blue"})
}

/// Messages of a phone that mean nothing and quote somebody.
pub(crate) fn broken_messages() -> Vec<String> {
    vec![
        format!("{{\"event\":\"media\",\"media\":{{\"payload\":\"{QUOTE}\"}}}}"),
        format!("{{\"event\":\"media\",\"{QUOTE}\":1"),
        json!({"event": "media", "media": {"track": QUOTE, "payload": "////", "timestamp": QUOTE, "chunk": QUOTE}}).to_string(),
        json!({"event": QUOTE, "streamSid": QUOTE}).to_string(),
        json!({"event": "mark", "mark": {"name": QUOTE}}).to_string(),
        json!({"event": "dtmf", "dtmf": {"track": QUOTE, "digit": QUOTE}}).to_string(),
        json!({"event": "media", "caller": QUOTE, "media": {"note": QUOTE, "track": "inbound", "payload": "////"}}).to_string(),
    ]
}
