//! What is planted: values that are unique, so that whatever is found of them has leaked.

/// One value.
pub(crate) struct Value {
    /// What it is, for a hit's line.
    pub(crate) name: &'static str,
    /// How it is said or written; each is searched in every form.
    pub(crate) said: &'static [&'static str],
    /// Its digits, where it is a number; empty where not.
    pub(crate) digits: &'static str,
    /// Parts that give it away by themselves.
    pub(crate) parts: &'static [&'static str],
    /// Its last four digits are shown, as documented of parties' numbers.
    pub(crate) shows_last_four: bool,
}

/// Digits from which on every four in a row are searched too.
pub(crate) const LONG: usize = 9;

const fn number(name: &'static str, digits: &'static str, said: &'static [&'static str]) -> Value {
    Value { name, said, digits, parts: &[], shows_last_four: false }
}

const fn words(name: &'static str, said: &'static [&'static str], parts: &'static [&'static str]) -> Value {
    Value { name, said, digits: "", parts, shows_last_four: false }
}

const fn party(name: &'static str, digits: &'static str, said: &'static [&'static str]) -> Value {
    Value { name, said, digits, parts: &[], shows_last_four: true }
}

/// All of them. Cards and routing number pass their checks, so does the IBAN.
pub(crate) const VALUES: &[Value] = &[
    number("card in digits", "4716829355027185", &["4716 8293 5502 7185"]),
    number(
        "card in words",
        "5398604729158632",
        &["fifty three ninety eight sixty forty seven twenty nine fifteen eighty six thirty two"],
    ),
    number("card that is typed", "4027693184520735", &[]),
    number("card in parameters", "4485039672183567", &["4485-0396-7218-3567"]),
    number("social security number", "583479162", &["583-47-9162", "583 47 9162"]),
    number("account", "73920485163", &[]),
    number("routing number", "063917583", &["063917583"]),
    number("iban", "71370927465180392746", &["DE71370927465180392746", "DE71 3709 2746 5180 3927 46"]),
    number("phone that is said", "4698372590", &["469-837-2590", "(469) 837-2590"]),
    number("security code", "739", &[]),
    number("pin that is said", "580417", &[]),
    number("pin that is typed", "926481", &[]),
    number("member", "684029", &["MB-684029"]),
    words("name", &["Zyndrakell Vossumbrake"], &["zyndrakell", "vossumbrake"]),
    words(
        "mail",
        &["orlunda.fenwhistle@quillmorrow.com", "orlunda dot fenwhistle at quillmorrow dot com"],
        &["fenwhistle", "quillmorrow"],
    ),
    words("address", &["2207 Borrowmeath Terrace"], &["borrowmeath"]),
    words("address behind a date", &["8461 Fennigrath Lane"], &["fennigrath"]),
    words("birth", &["march seventeenth nineteen fifty eight", "03/17/1958", "1958-03-17", "March 17, 1958"], &[]),
    words("password", &["brontoxylix"], &["brontoxylix"]),
    words("denied", &["Krellivane Holdings"], &["krellivane"]),
    party("caller's number", "19725068314", &["+19725068314"]),
    party("called number", "18327419650", &["+18327419650"]),
];
