use proptest::prelude::*;

use super::*;

fn words(text: &str) -> Vec<Word> {
    let word = |(at, text): (usize, &str)| {
        let start_ms = at as u64 * 300;
        Word { text: text.to_owned(), start_ms, end_ms: start_ms + 200, confidence: if at % 2 == 0 { 0.5 } else { 1.0 } }
    };
    text.split_whitespace().enumerate().map(word).collect()
}

fn written(text: &str) -> String {
    in_figures(words(text)).iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn numbers_are_written_in_one_form() {
    let cases = [
        ("It's four five three nine, one four eight eight.", "It's 45391488."),
        ("4539-1488 then", "45391488 then"),
        ("4539 1488", "45391488"),
        ("It's 5425, 2334, 3010, 9903, and", "It's 5425233430109903, and"),
        ("one, two, three, four", "1234"),
        ("two, three or four", "2, 3 or 4"),
        ("double five triple oh seven", "550007"),
        ("my number is 555-867-5309.", "my number is 5558675309."),
        ("(555) 867-5309", "5558675309"),
        ("zero nine twenty seven", "09 27"),
        ("twenty three", "23"),
        ("Twenty-three people", "23 people"),
        ("one hundred and five", "105"),
        ("one hundred and Paul", "100 and Paul"),
        ("two thousand", "2000"),
        ("one hundred and twenty thousand three hundred and one", "120301"),
        ("two thousand three thousand", "2000 3000"),
        ("two million five", "2000005"),
        ("1,250 people", "1250 people"),
        ("the twenty third of March", "the 23rd of March"),
        ("March third", "March 3rd"),
        ("the ninth of May", "the 9th of May"),
        ("the first and the second", "the first and the second"),
        ("the twelfth", "the 12th"),
        ("one hundred and first", "101st"),
        ("nineteen eighty four", "1984"),
        ("twenty twenty seven", "2027"),
        ("twenty oh five", "2005"),
        ("five dollars", "$5"),
        ("five dollars and twenty cents.", "$5.20."),
        ("one dollar and five cents", "$1.05"),
        ("five dollars and twenty people", "$5 and 20 people"),
        ("twelve fifty", "1250"),
        ("ten percent off", "10% off"),
        ("ten per cent", "10%"),
        ("three point one four", "3.14"),
        ("three thirty pm", "3:30 pm"),
        ("at nine oh five a.m.", "at 9:05 a.m."),
        ("until seven o'clock.", "until 7:00."),
        ("no one", "no one"),
        ("one of them", "one of them"),
        ("one second", "one second"),
        ("two thirds", "two thirds"),
        ("oh hi", "oh hi"),
        ("Oh, one moment", "Oh, one moment"),
        ("a hundred", "a hundred"),
        ("seven. Five", "7. 5"),
        ("2026-11-22", "2026-11-22"),
        ("in 1984, 1985", "in 1984, 1985"),
        ("$5 and 7:30 and 10-12", "$5 and 7:30 and 10-12"),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(spoken, expected)| written(spoken) != *expected)
        .map(|(spoken, expected)| format!("{spoken:?} became {:?}, not {expected:?}", written(spoken)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_group_has_the_times_of_its_ends_and_the_mean_of_its_confidences() {
    let found = in_figures(words("it's four five three. yes"));
    assert_eq!(found.len(), 3);
    assert_eq!((found[1].text.as_str(), found[1].start_ms, found[1].end_ms), ("453.", 300, 1_100));
    assert!((found[1].confidence - 2.5 / 3.0).abs() < 1e-6);
}

const SAID: [&str; 56] = [
    "zero",
    "one",
    "two",
    "five",
    "nine",
    "oh",
    "o",
    "ten",
    "twelve",
    "nineteen",
    "twenty",
    "thirty",
    "ninety",
    "hundred",
    "thousand",
    "million",
    "and",
    "double",
    "triple",
    "point",
    "first",
    "second",
    "third",
    "fifth",
    "twelfth",
    "twentieth",
    "dollars",
    "cents",
    "percent",
    "per",
    "cent",
    "pm",
    "am",
    "o'clock",
    "March",
    "of",
    "4539",
    "1488",
    "5",
    "27",
    "1,250",
    "4539-1488",
    "twenty-three",
    "twenty-first",
    "$5",
    "7:30",
    "one,",
    "two,",
    "three,",
    "nine.",
    "(555)",
    "hello",
    "the,",
    "yes.",
    "\"four",
    "billion",
];

/// What is never part of a number.
fn is_plain(text: &str) -> bool {
    ["hello", "the,", "yes.", "$5", "7:30"].contains(&text)
}

proptest! {
    #[test]
    fn nothing_else_is_lost_and_twice_is_once(said in prop::collection::vec(prop::sample::select(&SAID[..]), 0..14)) {
        let before = words(&said.join(" "));
        let after = in_figures(before.clone());
        prop_assert_eq!(&in_figures(after.clone()), &after, "twice is once");
        let plain = |words: &[Word]| words.iter().filter(|word| is_plain(&word.text)).map(|word| word.text.clone()).collect::<Vec<_>>();
        let (kept, had) = (plain(&after), plain(&before));
        prop_assert!(kept.len() >= had.len(), "{:?} of {:?}", kept, had);
        prop_assert!(after.iter().all(|word| word.start_ms < word.end_ms && (0.0..=1.0).contains(&word.confidence)));
        prop_assert!(after.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms));
        prop_assert_eq!(after.first().map(|word| word.start_ms), before.first().map(|word| word.start_ms));
        prop_assert_eq!(after.last().map(|word| word.end_ms), before.last().map(|word| word.end_ms));
    }

    #[test]
    fn any_text_is_taken(text in ".{0,40}") {
        let before = words(&text);
        let after = in_figures(before.clone());
        prop_assert!(after.len() <= before.len());
        prop_assert_eq!(&in_figures(after.clone()), &after);
    }
}
