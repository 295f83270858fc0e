//! Small lists of words: given names, family names, English words, things with names, places.
//!
//! Promises: a word's classes are told without a look at what stands around it; most names are in no list, so that what is in
//! none of them may be one. Where the lists come from is told in `lexicon/README.md`.

use std::{collections::HashMap, sync::LazyLock};

/// What the lists know of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Known(u8);

impl Known {
    const GIVEN: u8 = 1;
    const FAMILY: u8 = 2;
    const ENGLISH: u8 = 4;
    const THING: u8 = 8;
    const PLACE: u8 = 16;
    const FREQUENT: u8 = 32;

    /// What is known of a word in ASCII lower case; an `'s` behind it does not count.
    pub(super) fn of(word: &str) -> Self {
        let bare = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
        let plain = CLASSES.get(bare).copied().unwrap_or_default();
        if plain == 0 && CONTRACTIONS.iter().any(|ending| bare.ends_with(ending)) {
            return Self(Self::ENGLISH);
        }
        let folded = || if bare.is_ascii() { 0 } else { CLASSES.get(unaccented(bare).as_str()).copied().unwrap_or_default() };
        Self(if plain == 0 { folded() } else { plain })
    }

    /// A given name.
    pub(super) fn is_given(self) -> bool {
        self.0 & Self::GIVEN != 0
    }

    /// A given name or a family's.
    pub(super) fn is_name(self) -> bool {
        self.0 & (Self::GIVEN | Self::FAMILY) != 0
    }

    /// An English word, whatever else it is.
    pub(super) fn is_english(self) -> bool {
        self.0 & Self::ENGLISH != 0
    }

    /// A brand, a firm, a product.
    pub(super) fn is_thing(self) -> bool {
        self.0 & Self::THING != 0
    }

    /// A town, a state, a country.
    pub(super) fn is_place(self) -> bool {
        self.0 & Self::PLACE != 0
    }

    /// A given name that is heard often.
    pub(super) fn is_frequent(self) -> bool {
        self.0 & Self::FREQUENT != 0
    }

    /// A name and nothing else.
    pub(super) fn is_only_name(self) -> bool {
        self.is_name() && self.0 & (Self::ENGLISH | Self::THING | Self::PLACE) == 0
    }

    /// In no list.
    pub(super) fn is_strange(self) -> bool {
        self.0 == 0
    }
}

const CONTRACTIONS: [&str; 12] = ["'m", "'re", "'ll", "'ve", "'d", "'t", "’m", "’re", "’ll", "’ve", "’d", "’t"];

/// Reads the lists, if nobody has.
pub(super) fn prepare() {
    LazyLock::force(&CLASSES);
}

static CLASSES: LazyLock<HashMap<&'static str, u8>> = LazyLock::new(|| {
    let lists = [
        (Known::GIVEN, include_str!("lexicon/given.txt")),
        (Known::GIVEN | Known::FREQUENT, include_str!("lexicon/frequent.txt")),
        (Known::FAMILY, include_str!("lexicon/family.txt")),
        (Known::ENGLISH, include_str!("lexicon/english.txt")),
        (Known::THING, include_str!("lexicon/things.txt")),
        (Known::PLACE, include_str!("lexicon/places.txt")),
    ];
    let mut classes = HashMap::with_capacity(80_000);
    for (class, list) in lists {
        for word in list.split_ascii_whitespace() {
            *classes.entry(word).or_insert(0) |= class;
        }
    }
    classes
});

/// Letters of Latin scripts without their marks: `josé` is in the lists as `jose`.
fn unaccented(word: &str) -> String {
    const MARKED: [(char, &str); 13] = [
        ('a', "àáâãäåāăąÀÁÂÃÄÅ"),
        ('c', "çćčÇĆČ"),
        ('d', "ďđĎĐ"),
        ('e', "èéêëēėęěÈÉÊË"),
        ('g', "ğģĞ"),
        ('i', "ìíîïīįıÌÍÎÏİ"),
        ('l', "łľĺŁ"),
        ('n', "ñńňņÑŃ"),
        ('o', "òóôõöøōőÒÓÔÕÖØ"),
        ('s', "śšşșŚŠŞ"),
        ('t', "ťţțŤ"),
        ('u', "ùúûüūůűųÙÚÛÜ"),
        ('z', "źżžŹŻŽ"),
    ];
    let plain = |c: char| MARKED.iter().find(|(_, marked)| marked.contains(c)).map_or(c, |(plain, _)| *plain);
    word.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_known_by_every_list_that_has_it() {
        assert!(Known::of("molly").is_only_name());
        assert!(Known::of("josé's").is_only_name());
        let rose = Known::of("rose");
        assert!(rose.is_given() && rose.is_english() && !rose.is_only_name());
        assert!(Known::of("jackson").is_name());
        assert!(Known::of("charlotte").is_place() && Known::of("charlotte").is_given());
        assert!(Known::of("walmart").is_thing());
        assert!(Known::of("qxyzzy").is_strange());
    }
}
