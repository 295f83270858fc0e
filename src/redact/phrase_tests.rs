//! How people say it: phrases, and what comes out.

use super::tests::{Call, IN, OUT};

#[test]
fn a_question_tells_what_the_answer_is() {
    for (question, answer, expected) in [
        ("What are the three digits on the back?", "it's 912.", "it's [CVV_1]."),
        ("and the expiration date?", "ten twenty nine.", "[EXPIRY_1]."),
        ("what month and year is on it", "october thirty one", "[EXPIRY_1]"),
        ("the last four of your social?", "sure, 4 5 6 7.", "sure, [SSN_1]."),
        ("what's your date of birth", "the fourth of july nineteen eighty.", "the [DATE_OF_BIRTH_1]."),
        ("what's your order number?", "45572741", "45572741"),
        ("can I have the routing number", "oh two one double oh oh oh two one", "[ROUTING_1]"),
        ("please read me the code we texted you", "4 4 1 9 0 2", "[PIN_1]"),
        ("and the zip code?", "nine oh two one oh", "[ZIP_1]"),
    ] {
        let mut call = Call::new();
        call.says(OUT, question);
        let mut out = call.says(IN, answer);
        out.extend(call.ends());
        assert_eq!(out, [expected], "{question}");
    }
}

#[test]
fn harmless_numbers_stay() {
    for text in [
        "the order number is 4 5 5 7 2 7 4 1 2 2.",
        "it was 3,282 dollars and 6 cents",
        "ring me at three forty please",
        "tracking says 3601 2171 3991",
        "I was there in 2004",
        "rebook me from united two one six please",
        "version 2.8.930.4243",
        "we have 12 people and 3 kids",
        "sound check one two three four five six seven eight nine",
        "interest is at 6.25 percent",
        "It shipped March 6.",
        "the total is $45.99 for 2 items",
        "my card was declined 2 times",
        "call me in 10 minutes",
        "my card got charged twice on the 14th",
        "there are 300 people in 20 rooms at 4 dollars each",
        "it's 2 for 1 until friday",
        "flight 1482 at 6 45 gate 22",
        "what are the last four digits of it",
        "I'm on my way to store number 12 on the corner",
        "will there be a charge if I mark it urgent",
        "two @3.50 and 5@3.50 each, then find us @home today",
    ] {
        let mut call = Call::new();
        let mut out = call.says(IN, text);
        out.extend(call.ends());
        assert_eq!(out, [text]);
    }
}

#[test]
fn personal_numbers_and_addresses_go() {
    for (text, expected) in [
        ("123-45-6789 is it", "[SSN_1] is it"),
        ("call (555) 123-4567 now", "call ([PHONE_1] now"),
        ("it's +1 555 123 4567 okay?", "it's +[PHONE_1] okay?"),
        ("four one one one double one one one sorry one one one one one one one one yes please", "[CREDIT_CARD_1] yes please"),
        ("mail ann.lee@example.co.uk today", "mail [EMAIL_1] today"),
        ("a@b.com", "[EMAIL_1]"),
        ("mail i@b.com or o@b.com or 7@b.com", "mail [EMAIL_1] or [EMAIL_2] or [EMAIL_3]"),
        ("write to me@b.com, to.a@b.com or like-us@b.com", "write to [EMAIL_1], [EMAIL_2] or [EMAIL_3]"),
        ("ann@it.com and ann@to.me.com or x@my.example", "[EMAIL_1] and [EMAIL_2] or [EMAIL_3]"),
        ("it's ann dot lee at example dot com today", "it's [EMAIL_1] today"),
        ("my email is j o n e s 22 at gmail dot com", "my email is [EMAIL_1]"),
        ("48151623 nobody knows", "[NUMBER_1] nobody knows"),
        ("zero zero zero twenty one twenty one", "[NUMBER_1]"),
        ("one zero zero 0000 uh oh oh thanks", "[NUMBER_1] thanks"),
        ("912 is the security code", "[CVV_1] is the security code"),
        ("account number 00 44 55 66.", "account number [BANK_ACCOUNT_1]."),
        ("the serial is 4111 1111 1111 1111 here", "the serial is [CREDIT_CARD_1] here"),
        ("my number's 415-555-0123 and my email's ann@example.com today", "my number's [PHONE_1] and my email's [EMAIL_1] today"),
        (
            "it expires oh nine twenty six and the three digit code is two one four",
            "it expires [EXPIRY_1] and the three digit code is [CVV_1]",
        ),
        ("my social is 123 45 6789 and the pin 4411", "my social is [SSN_1] and the pin [PIN_1]"),
        ("the visa is forty one eleven, eleven eleven, eleven eleven, eleven eleven", "the visa is [CREDIT_CARD_1]"),
        ("I was born on march third nineteen eighty five", "I was born on [DATE_OF_BIRTH_1]"),
        ("the routing is 021000021 and account 000123456789", "the routing is [ROUTING_1] and account [BANK_ACCOUNT_1]"),
        ("email is m as in mary, i, k, e, 77 at yahoo dot com", "email is [EMAIL_1]"),
        ("the passport is c 0 3 0 0 5 9 8 8", "the passport is [PASSPORT_1]"),
        ("go to www dot example dot net now", "go to [URL_1] now"),
        ("the ip address is 10.1.2.3 there", "the ip address is [IP_1] there"),
    ] {
        let mut call = Call::new();
        let mut out = call.says(IN, text);
        out.extend(call.ends());
        assert_eq!(out, [expected], "{text}");
    }
}

#[test]
fn a_number_is_read_over_every_final_of_its_party() {
    for (turns, expected) in [
        (
            &[
                "it's area code four one five",
                "A:uh huh",
                "five five five",
                "oh one two three",
                "A:thanks a lot for that, one moment please",
            ][..],
            "it's area code [PHONE_1] | uh huh | [PHONE_1] | [PHONE_1] | thanks a lot for that, one moment please",
        ),
        (
            &["A:what's the card number", "one second", "okay four two four two", "four two four two", "A:mhm", "4242 4242 4242"]
                [..],
            "what's the card number | one second | okay [CREDIT_CARD_1] | [CREDIT_CARD_1] | mhm | [CREDIT_CARD_1]",
        ),
        (&["my ssn is 5 7 9", "uh hold on", "4 4", "8 8 1 2"][..], "my ssn is [SSN_1] | uh hold on | [SSN_1] | [SSN_1]"),
        (
            &["the login is c as in charlie", "A:okay", "a r w at brightmail dot org, thank you"][..],
            "the login is [EMAIL_1] | okay | [EMAIL_1], thank you",
        ),
    ] {
        let mut call = Call::new();
        let mut out = Vec::new();
        for turn in turns {
            let track = if turn.starts_with("A:") { OUT } else { IN };
            out.extend(call.says(track, turn.trim_start_matches("A:")));
        }
        out.extend(call.ends());
        assert_eq!(out.join(" | "), expected);
    }
}

#[test]
fn nothing_about_its_form_explains_a_secret_away() {
    for (text, expected) in [
        ("My SSN is 482-11-9043. Am I verified?", "My SSN is [SSN_1]. Am I verified?"),
        ("my cvv is 345 k thanks", "my cvv is [CVV_1] k thanks"),
        ("the cvv for this order is 345", "the cvv for this order is [CVV_1]"),
        ("my social for the claim is 482 11 9043", "my social for the claim is [SSN_1]"),
        ("my card for this order is 5412 7512 3412 3456", "my card for this order is [CREDIT_CARD_1]"),
        ("my cvv2 is 345", "my cvv2 is [CVV_1]"),
        ("my C.V.V. is 345", "my C.V.V. is [CVV_1]"),
        ("my cvv is three hundred and forty five", "my cvv is [CVV_1]"),
        ("the cvv is four five one of course", "the cvv is [CVV_1] of course"),
        ("cvv123 and ssn482119043", "cvv[CVV_1] and ssn[SSN_1]"),
        ("my card ending in 2019", "my card ending in [CREDIT_CARD_1]"),
        ("my driver's permit is 12345678", "my driver's permit is [DRIVER_LICENSE_1]"),
        ("my card is ৪১১১১১১১১১১১১১১১", "my card is [CREDIT_CARD_1]"),
        ("yes it's 9400111899223100001234 thanks", "yes it's [NUMBER_1] thanks"),
    ] {
        let mut call = Call::new();
        let mut out = call.says(IN, text);
        out.extend(call.ends());
        assert_eq!(out, [expected], "{text}");
    }
}

#[test]
fn talk_before_an_answer_does_not_explain_it() {
    let mut call = Call::new();
    for (party, text) in [(OUT, "what's the cvv"), (IN, "my wallet is in the other room")] {
        assert_eq!(call.says(party, text), [text]);
    }
    assert_eq!(call.says(IN, "okay so 345"), ["okay so [CVV_1]"]);
}
