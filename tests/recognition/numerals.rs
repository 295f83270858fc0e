//! The half of Whisper's normaliser that writes numbers in figures; see `plain`.

const ONES: [&str; 19] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const MULTIPLIERS: [(&str, u32); 12] = [
    ("hundred", 2),
    ("thousand", 3),
    ("million", 6),
    ("billion", 9),
    ("trillion", 12),
    ("quadrillion", 15),
    ("quintillion", 18),
    ("sextillion", 21),
    ("septillion", 24),
    ("octillion", 27),
    ("nonillion", 30),
    ("decillion", 33),
];
const CURRENCIES: [(&str, char); 8] = [
    ("pound", '£'),
    ("pounds", '£'),
    ("euro", '€'),
    ("euros", '€'),
    ("dollar", '$'),
    ("dollars", '$'),
    ("cent", '¢'),
    ("cents", '¢'),
];
const SIGNS: [char; 6] = ['-', '+', '£', '€', '$', '¢'];

/// What a word says about numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Zero,
    One(u128),
    OneWith(u128, &'static str),
    Ten(u128),
    TenWith(u128, &'static str),
    Multiplier(u128),
    MultiplierWith(u128, &'static str),
    Sign(char),
    Currency(char),
    Percent,
    Per,
    And,
    Times(usize),
    Point,
}

/// The number that is being read.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Whole(u128),
    Digits(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Whole(value) => value.to_string(),
            Self::Digits(digits) => digits.clone(),
        }
    }
}

/// Numbers in figures, all else as it is.
pub(crate) fn standard(text: &str) -> String {
    let text = halves(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut reader = Reader { words: &words, value: None, prefix: None, out: Vec::new() };
    let mut at = 0;
    while at < words.len() {
        at += reader.read(at);
    }
    reader.put_value();
    reader.out.join(" ")
}

struct Reader<'a> {
    words: &'a [&'a str],
    value: Option<Value>,
    prefix: Option<char>,
    out: Vec<String>,
}

impl Reader<'_> {
    /// Reads the word there; how many words that took.
    fn read(&mut self, at: usize) -> usize {
        let word = self.words[at];
        let next = self.words.get(at + 1).copied();
        let before = at.checked_sub(1).and_then(|at| kind(self.words[at]));
        let goes_on = next.is_some_and(|next| kind(next).is_some() || is_figures(next));
        let sign = word.chars().next().filter(|sign| SIGNS.contains(sign));
        let figures = sign.map_or(word, |sign| &word[sign.len_utf8()..]);
        if is_figures(figures) {
            self.figures(word, figures, sign);
            return 1;
        }
        let Some(kind) = kind(word) else {
            self.put_value();
            self.put(word);
            return 1;
        };
        match kind {
            Kind::Zero => {
                let digits = self.digits();
                self.value = Some(Value::Digits(digits + "0"));
            }
            Kind::One(ones) => self.value = Some(self.with_ones(ones, before)),
            Kind::OneWith(ones, end) => {
                let whole = self.with_ones(ones, before).text();
                self.put(&(whole + end));
            }
            Kind::Ten(tens) => self.value = Some(self.with_tens(tens)),
            Kind::TenWith(tens, end) => {
                let whole = self.with_tens(tens).text();
                self.put(&(whole + end));
            }
            Kind::Multiplier(by) => self.value = Some(self.times(by)),
            Kind::MultiplierWith(by, end) => {
                let whole = self.times(by).text();
                self.put(&(whole + end));
            }
            Kind::Sign(sign) => {
                self.put_value();
                if goes_on {
                    self.prefix = Some(sign);
                } else {
                    self.put(word);
                }
            }
            Kind::Currency(sign) if self.value.is_some() => {
                self.prefix = Some(sign);
                self.put_value();
            }
            Kind::Percent | Kind::Per if self.value.is_some() => return self.percent(kind, word, next),
            Kind::Currency(_) | Kind::Percent | Kind::Per => self.put(word),
            Kind::And | Kind::Times(_) | Kind::Point => return self.special(kind, word, before, next, goes_on),
        }
        1
    }

    fn figures(&mut self, word: &str, figures: &str, sign: Option<char>) {
        if let Some(Value::Digits(digits)) = &mut self.value
            && digits.ends_with('.')
        {
            digits.push_str(word);
            return;
        }
        self.put_value();
        self.prefix = sign.or(self.prefix);
        self.value = Some(whole_of(figures).map_or_else(|| Value::Digits(figures.to_owned()), Value::Whole));
    }

    fn percent(&mut self, kind: Kind, word: &str, next: Option<&str>) -> usize {
        let is_percent = kind == Kind::Percent || next == Some("cent");
        let digits = self.value.take().map_or_else(String::new, |value| value.text());
        if is_percent {
            self.put(&(digits + "%"));
            return if kind == Kind::Per { 2 } else { 1 };
        }
        self.put(&digits);
        self.put(word);
        1
    }

    fn special(&mut self, kind: Kind, word: &str, before: Option<Kind>, next: Option<&str>, goes_on: bool) -> usize {
        let next_kind = next.and_then(self::kind);
        match kind {
            Kind::And if goes_on && matches!(before, Some(Kind::Multiplier(_))) => return 1,
            Kind::Times(times) if goes_on && matches!(next_kind, Some(Kind::One(_) | Kind::Zero)) => {
                let digit = if let Some(Kind::One(ones)) = next_kind { ones } else { 0 };
                let digits = self.digits();
                self.value = Some(Value::Digits(digits + &digit.to_string().repeat(times)));
                return 2;
            }
            Kind::Point if goes_on => {
                let is_decimal = matches!(next_kind, Some(Kind::One(_) | Kind::Ten(_) | Kind::Zero));
                if is_decimal || next.is_some_and(is_figures) {
                    let digits = self.digits();
                    self.value = Some(Value::Digits(digits + "."));
                }
                return 1;
            }
            _ => {}
        }
        self.put_value();
        self.put(word);
        1
    }

    /// The value as digits to go on with; a whole zero is none.
    fn digits(&mut self) -> String {
        self.value.take().filter(|value| *value != Value::Whole(0)).map_or_else(String::new, |value| value.text())
    }

    fn with_ones(&mut self, ones: u128, before: Option<Kind>) -> Value {
        let follows_one = matches!(before, Some(Kind::One(_)));
        match self.value.take() {
            None => Value::Whole(ones),
            Some(value) if follows_one || matches!(value, Value::Digits(_)) => {
                let mut digits = value.text();
                if matches!(before, Some(Kind::Ten(_))) && ones < 10 {
                    digits.pop();
                }
                Value::Digits(digits + &ones.to_string())
            }
            Some(Value::Whole(value)) if value % (if ones < 10 { 10 } else { 100 }) == 0 => Value::Whole(value + ones),
            Some(value) => Value::Digits(value.text() + &ones.to_string()),
        }
    }

    fn with_tens(&mut self, tens: u128) -> Value {
        match self.value.take() {
            None => Value::Whole(tens),
            Some(Value::Whole(value)) if value % 100 == 0 => Value::Whole(value + tens),
            Some(value) => Value::Digits(value.text() + &tens.to_string()),
        }
    }

    fn times(&mut self, by: u128) -> Value {
        match self.value.take() {
            None => Value::Whole(by),
            Some(Value::Whole(0)) => Value::Whole(0),
            Some(Value::Whole(value)) => Value::Whole(value / 1000 * 1000 + (value % 1000).saturating_mul(by)),
            Some(Value::Digits(digits)) => Value::Whole(product(&digits, by).unwrap_or_else(|| {
                self.put(&digits);
                by
            })),
        }
    }

    fn put_value(&mut self) {
        if let Some(value) = self.value.take() {
            self.put(&value.text());
        }
    }

    fn put(&mut self, text: &str) {
        let prefix = self.prefix.take().map(String::from).unwrap_or_default();
        self.value = None;
        self.out.push(prefix + text);
    }
}

fn kind(word: &str) -> Option<Kind> {
    if ["o", "oh", "zero"].contains(&word) {
        return Some(Kind::Zero);
    }
    let value = |at: usize| at as u128 + 1;
    if let Some(at) = ONES.iter().position(|one| *one == word) {
        return Some(Kind::One(value(at)));
    }
    if let Some(at) = TENS.iter().position(|ten| *ten == word) {
        return Some(Kind::Ten((value(at) + 1) * 10));
    }
    let special = match word {
        "minus" | "negative" => Kind::Sign('-'),
        "plus" | "positive" => Kind::Sign('+'),
        "per" => Kind::Per,
        "percent" => Kind::Percent,
        "and" => Kind::And,
        "double" => Kind::Times(2),
        "triple" => Kind::Times(3),
        "point" => Kind::Point,
        "zeroth" => Kind::OneWith(0, "th"),
        "first" => Kind::OneWith(1, "st"),
        "second" => Kind::OneWith(2, "nd"),
        "third" => Kind::OneWith(3, "rd"),
        "fifth" => Kind::OneWith(5, "th"),
        "twelfth" => Kind::OneWith(12, "th"),
        "sixes" => Kind::OneWith(6, "s"),
        _ => return kind_by_end(word),
    };
    Some(special)
}

fn kind_by_end(word: &str) -> Option<Kind> {
    if let Some((_, sign)) = CURRENCIES.iter().find(|(name, _)| *name == word) {
        return Some(Kind::Currency(*sign));
    }
    let ones = ONES.iter().enumerate().map(|(at, one)| (*one, at as u128 + 1));
    for (one, value) in ones {
        let is_regular = value > 3 && value != 5 && value != 12;
        if is_regular && word == format!("{one}{}", if one.ends_with('t') { "h" } else { "th" }) {
            return Some(Kind::OneWith(value, "th"));
        }
        if word == format!("{one}s") && value != 6 {
            return Some(Kind::OneWith(value, "s"));
        }
    }
    for (at, ten) in TENS.iter().enumerate() {
        let (value, stem) = ((at as u128 + 2) * 10, ten.trim_end_matches('y'));
        if let Some(end) = word.strip_prefix(stem) {
            match end {
                "ies" => return Some(Kind::TenWith(value, "s")),
                "ieth" => return Some(Kind::TenWith(value, "th")),
                _ => {}
            }
        }
    }
    let (name, zeros) = MULTIPLIERS.iter().find(|(name, _)| word.starts_with(name))?;
    let value = 10_u128.pow(*zeros);
    match &word[name.len()..] {
        "" => Some(Kind::Multiplier(value)),
        "s" => Some(Kind::MultiplierWith(value, "s")),
        "th" => Some(Kind::MultiplierWith(value, "th")),
        _ => None,
    }
}

fn is_figures(word: &str) -> bool {
    let (whole, rest) = word.split_once('.').unwrap_or((word, "0"));
    [whole, rest].iter().all(|part| !part.is_empty() && part.bytes().all(|sign| sign.is_ascii_digit()))
}

/// The number, if nothing but zeros stand behind its point.
fn whole_of(figures: &str) -> Option<u128> {
    let (whole, rest) = figures.split_once('.').unwrap_or((figures, ""));
    rest.bytes().all(|sign| sign == b'0').then(|| whole.parse().ok()).flatten()
}

/// The product, if it is whole.
fn product(digits: &str, by: u128) -> Option<u128> {
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let zeros = u32::try_from(rest.len()).ok()?;
    let all: u128 = format!("{whole}{rest}").parse().ok()?;
    let (product, scale) = (all.checked_mul(by)?, 10_u128.checked_pow(zeros)?);
    (product % scale == 0).then_some(product / scale)
}

/// "two and a half" is two point five.
fn halves(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut made, mut at) = (Vec::new(), 0);
    while at < words.len() {
        if at > 0 && words[at..].starts_with(&["and", "a", "half"]) {
            let counts = matches!(kind(words[at - 1]), Some(Kind::Zero | Kind::One(_) | Kind::Ten(_) | Kind::Multiplier(_)));
            made.push(if counts { "point five" } else { "and a half" });
            at += 3;
        } else {
            made.push(words[at]);
            at += 1;
        }
    }
    made.join(" ")
}
