//! The searcher itself: it finds each form in a line of a log, and nothing in what is innocent.

use crate::{
    forms::forms,
    search::{Haystack, search},
    values::VALUES,
};

fn found(line: &str) -> Vec<(&'static str, &'static str)> {
    search(&Haystack::texts("a line", line)).into_iter().map(|hit| (hit.value, hit.form)).collect()
}

#[test]
fn every_form_of_every_value_is_found_in_the_middle_of_a_line() {
    for value in VALUES {
        let forms = forms(value);
        assert!(forms.len() > 20, "{}: {}", value.name, forms.len());
        // All forms of one value in one place are one hit each, so a part of them at a time.
        for bytes in forms.keys() {
            let line = [b"2026-11-22T11:34:33.123456Z TRACE x: field=", bytes.as_slice(), b" more"].concat();
            let hits = search(&Haystack::raw("a line", line));
            assert!(hits.iter().any(|hit| hit.value == value.name), "{}: {}", value.name, String::from_utf8_lossy(bytes));
        }
    }
}

/// Written by hand, so that the forms are not only what their maker thinks they are.
#[test]
fn forms_that_others_made_are_found() {
    for line in [
        "card=4716829355027185",
        "4716-8293-5502-7185",
        "47 16 82 93 55 02 71 85",
        "471.682.935.502.718.5",
        "FOUR SEVEN ONE SIX EIGHT TWO NINE THREE FIVE FIVE OH TWO SEVEN ONE EIGHT FIVE",
        "so eight, two, nine, three it was",
        "eCA0NzE2ODI5MzU1MDI3MTg1",
        "NDcxNjgyOTM1NTAyNzE4NQ==",
        "34373136383239333535303237313835",
        "52, 55, 49, 54, 56, 50, 57, 51, 53, 53, 48, 50, 55, 49, 56, 53",
        "%34%37%31%36%38%32%39%33%35%35%30%32%37%31%38%35",
        r"\u0034\u0037\u0031\u0036\u0038\u0032\u0039\u0033\u0035\u0035\u0030\u0032\u0037\u0031\u0038\u0035",
        "5817205539286174",
        "{\"text\":\"it ends in 7185\"}",
        "{\"text\":\"it is 68 29 I think\"}",
        "the middle is 829355 of it",
        "Z-Y-N-D-R-A-K-E-L-L",
        "zyndrakell%20vossumbrake",
        "Hello ZYNDRAKELL",
        "orlunda.fenwhistle%40quillmorrow.com",
        "{\"text\":\"739\"}",
        "seven three nine",
        "{\"text\":\"580417\"}",
    ] {
        assert!(!found(line).is_empty(), "{line}");
    }
}

#[test]
fn times_ids_ports_and_counts_are_no_hits() {
    for line in [
        "2026-11-22T11:34:33.829355Z peer=127.0.0.1:47168",
        "{\"id\":\"evt_01K4716829355ABCDEFGHJKMNP\",\"at\":\"2026-11-22T04:16:47.829Z\"}",
        "took 0.829355 s",
        "{\"sha256\":\"c2cda716d5971c1fe7a0328271e4386324ac5add602131b01b5ca87cd49a8293\"}",
        "{\"n\":4716,\"bytes\":8293}",
        "{\"from\":\"8314\",\"to\":\"9650\"}",
        "[CREDIT_CARD_1] [PHONE_2]",
    ] {
        assert_eq!(found(line), [], "{line}");
    }
}
