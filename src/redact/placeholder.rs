//! Kinds of personal data, and the placeholders that stand for them: `[TYPE_N]`, N counting the distinct values of a call.
//!
//! Promises: the same value has the same number throughout the call, whoever says it; what is kept of a value is a keyed
//! hash, whose key is the call's own. The speech service's placeholders are mapped to these kinds and numbered anew, since its
//! own numbers mean nothing across finals (protocols/pulse.md section 7.1). Where the operator chose so, nothing or a hash of
//! the value stands in the number's place; a value that is not known whole has a number all the same.

use std::{collections::HashMap, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::policy::{Mode, Policy};

/// What kind of personal data something is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A payment card's number.
    CreditCard,
    /// The short code on a card.
    Cvv,
    /// Until when a card is good.
    Expiry,
    /// A social security number, or its last digits.
    Ssn,
    /// A telephone number.
    Phone,
    /// An address of mail.
    Email,
    /// A person's name.
    Person,
    /// A street, unit, city.
    Address,
    /// A postal code.
    Zip,
    /// When somebody was born.
    DateOfBirth,
    /// A bank account's number.
    BankAccount,
    /// A bank's routing number.
    Routing,
    /// An international bank account number.
    Iban,
    /// A passport's number.
    Passport,
    /// A driving licence's number.
    DriverLicense,
    /// A password.
    Password,
    /// A PIN or a one-time code.
    Pin,
    /// An internet address.
    Ip,
    /// An address in the web.
    Url,
    /// A long number that nothing explains.
    Number,
    /// A kind that only the speech service knows, e.g. `TIME`.
    Service(String),
    /// A kind that the operator named, with a pattern of its own.
    Own(String),
}

impl Kind {
    /// Every kind that the bridge looks for by itself.
    pub const ALL: [Self; 20] = [
        Self::CreditCard,
        Self::Cvv,
        Self::Expiry,
        Self::Ssn,
        Self::Phone,
        Self::Email,
        Self::Person,
        Self::Address,
        Self::Zip,
        Self::DateOfBirth,
        Self::BankAccount,
        Self::Routing,
        Self::Iban,
        Self::Passport,
        Self::DriverLicense,
        Self::Password,
        Self::Pin,
        Self::Ip,
        Self::Url,
        Self::Number,
    ];

    /// The kind that is called so, in either case; `None` for any other word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether it is a secret of a payment card, or a PIN: what no setting may leave in a text.
    pub(super) fn is_card_data(&self) -> bool {
        matches!(self, Self::CreditCard | Self::Cvv | Self::Pin)
    }

    /// The word in placeholders and events.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::CreditCard => "CREDIT_CARD",
            Self::Cvv => "CVV",
            Self::Expiry => "EXPIRY",
            Self::Ssn => "SSN",
            Self::Phone => "PHONE",
            Self::Email => "EMAIL",
            Self::Person => "PERSON",
            Self::Address => "ADDRESS",
            Self::Zip => "ZIP",
            Self::DateOfBirth => "DATE_OF_BIRTH",
            Self::BankAccount => "BANK_ACCOUNT",
            Self::Routing => "ROUTING",
            Self::Iban => "IBAN",
            Self::Passport => "PASSPORT",
            Self::DriverLicense => "DRIVER_LICENSE",
            Self::Password => "PASSWORD",
            Self::Pin => "PIN",
            Self::Ip => "IP",
            Self::Url => "URL",
            Self::Number => "NUMBER",
            Self::Service(name) | Self::Own(name) => name,
        }
    }

    /// The kind that the speech service calls `name`, in either case. Its list is open (protocols/pulse.md section 7.1).
    pub(super) fn of_service(name: &str) -> Self {
        let name = name.to_ascii_uppercase();
        match name.replace('_', "").as_str() {
            "FIRSTNAME" | "LASTNAME" | "MIDDLENAME" | "NAME" | "PERSON" | "FULLNAME" => Self::Person,
            "PHONE" | "PHONENUMBER" | "TELEPHONE" => Self::Phone,
            "ADDRESS" | "BUILDINGNUMBER" | "STREET" | "STREETADDRESS" | "CITY" | "SECONDARYADDRESS" => Self::Address,
            "ACCOUNTNUMBER" | "BANKACCOUNT" | "ACCOUNT" => Self::BankAccount,
            "CREDITCARDCVV" | "CVV" | "CVC" => Self::Cvv,
            "CREDITCARD" | "CREDITCARDNUMBER" | "CARD" | "CARDNUMBER" => Self::CreditCard,
            "EXPIRY" | "CREDITCARDEXPIRATION" | "EXPIRATIONDATE" => Self::Expiry,
            "ZIPCODE" | "ZIP" | "POSTALCODE" => Self::Zip,
            "EMAIL" | "EMAILADDRESS" => Self::Email,
            "SSN" | "SOCIALSECURITYNUMBER" => Self::Ssn,
            "DATEOFBIRTH" | "DOB" => Self::DateOfBirth,
            "ROUTINGNUMBER" | "ROUTING" => Self::Routing,
            "NUMBER" => Self::Number,
            _ => Self::Service(name.chars().take(32).collect()),
        }
    }

    /// Whether its value is written in digits, so that digits beside it may be its other half.
    pub(super) fn is_numeric(&self) -> bool {
        !matches!(self, Self::Person | Self::Email | Self::Url | Self::Password | Self::Address | Self::Service(_) | Self::Own(_))
    }

    /// Whether its value may hold letters among the digits.
    pub(super) fn has_letters(&self) -> bool {
        matches!(self, Self::Iban | Self::Passport | Self::DriverLicense)
    }
}

/// A value as it is remembered: the first half of its keyed hash.
type Trace = [u8; 16];

/// The numbers given out in a call, and what was redacted in it.
pub(super) struct Numbering {
    policy: Arc<Policy>,
    key: Hmac<Sha256>,
    counts: HashMap<String, u32>,
    values: HashMap<Trace, Label>,
    parts: HashMap<Trace, Label>,
    names: HashMap<Trace, Label>,
}

/// A placeholder that was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// What it stands for.
    pub(super) kind: Kind,
    /// `[TYPE_N]`, `[TYPE:HASH]`, `[CREDIT_CARD_N:LAST]` or nothing.
    pub(super) text: String,
}

impl Label {
    /// The same with the last four digits of a card behind its number.
    pub(super) fn with_last(&self, digits: &str) -> Self {
        let open = self.text.trim_end_matches(']');
        Self { kind: self.kind.clone(), text: format!("{open}:{digits}]") }
    }

    /// The same without them.
    pub(super) fn without_last(&self) -> Self {
        let number = self.text.split_once(':').filter(|(open, _)| open.ends_with(|c: char| c.is_ascii_digit()));
        match number {
            Some((open, _)) => Self { kind: self.kind.clone(), text: format!("{open}]") },
            None => self.clone(),
        }
    }
}

impl Numbering {
    /// Parts of values that are remembered to know a read-back by; beyond it only whole values are known.
    const MAX_PARTS: usize = 4096;
    /// Digits in a part: as many as may never be seen of a value.
    const PART: usize = 4;
    /// Letters of a word by which a name is known again.
    const NAME: usize = 3;

    pub(super) fn new(key: [u8; 32], policy: Arc<Policy>) -> Self {
        let key = Hmac::new_from_slice(&key).expect("HMAC takes a key of any length");
        Self { policy, key, counts: HashMap::new(), values: HashMap::new(), parts: HashMap::new(), names: HashMap::new() }
    }

    /// The label of a whole value: the one that was given to it, else a new one of its kind.
    pub(super) fn label(&mut self, kind: &Kind, value: &str) -> Label {
        self.known_or(value, |all| {
            let hashed = all.policy.hashed(kind, value).map(|text| Label { kind: kind.clone(), text });
            hashed.unwrap_or_else(|| all.fresh(kind))
        })
    }

    /// The same for what may be a part of a value, or of another kind than it seems: never a hash.
    pub(super) fn label_part(&mut self, kind: &Kind, value: &str) -> Label {
        self.known_or(value, |all| all.fresh(kind))
    }

    fn known_or(&mut self, value: &str, new: impl FnOnce(&mut Self) -> Label) -> Label {
        let trace = self.trace(value);
        if let Some(label) = self.values.get(&trace) {
            return label.clone();
        }
        let label = new(self);
        self.remember(value, &label);
        label
    }

    /// The next label of a kind, for a value that nobody knows.
    pub(super) fn fresh(&mut self, kind: &Kind) -> Label {
        if self.policy.mode(kind) == Mode::Remove {
            return Label { kind: kind.clone(), text: String::new() };
        }
        let count = self.counts.entry(kind.as_str().to_owned()).or_insert(0);
        *count += 1;
        Label { kind: kind.clone(), text: format!("[{}_{count}]", kind.as_str()) }
    }

    /// `[TYPE_N]` is taken: the next of its type gets a number behind it.
    pub(super) fn behind(&mut self, placeholder: &str) {
        let inside = placeholder.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inside = inside.and_then(|inside| inside.split(':').next());
        let Some((kind, number)) = inside.and_then(|inside| inside.rsplit_once('_')) else { return };
        let Ok(number) = number.parse::<u32>() else { return };
        let count = self.counts.entry(kind.to_owned()).or_insert(0);
        *count = number.max(*count);
    }

    /// Also knows `value` under a label that is already out: the whole of a mention whose first part was released before.
    pub(super) fn remember(&mut self, value: &str, label: &Label) {
        let trace = self.trace(value);
        self.values.entry(trace).or_insert_with(|| label.clone());
        if label.kind == Kind::Person {
            self.remember_name(value, label);
        }
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return;
        }
        let digits: zeroize::Zeroizing<String> = value.chars().filter(char::is_ascii_digit).collect::<String>().into();
        for part in digits.as_bytes().windows(Self::PART) {
            if self.parts.len() < Self::MAX_PARTS {
                let trace = self.trace(std::str::from_utf8(part).expect("digits are ASCII"));
                self.parts.entry(trace).or_insert_with(|| label.clone());
            }
        }
    }

    /// The label of a redacted value that `digits` repeat as a whole, or in four digits or more of it.
    pub(super) fn heard_before(&self, digits: &str) -> Option<Label> {
        if self.values.is_empty() || digits.len() < 3 {
            return None;
        }
        let part = |part| self.parts.get(&self.trace(std::str::from_utf8(part).expect("digits are ASCII")));
        let whole = self.values.get(&self.trace(digits));
        whole.or_else(|| digits.as_bytes().windows(Self::PART).find_map(part)).cloned()
    }

    /// The words of a name, parted by spaces.
    fn remember_name(&mut self, name: &str, label: &Label) {
        for word in name.split(' ').filter(|word| word.chars().count() >= Self::NAME) {
            if self.names.len() < Self::MAX_PARTS {
                let trace = self.trace(word);
                self.names.entry(trace).or_insert_with(|| label.clone());
            }
        }
    }

    /// The label of a redacted date: month, day and year as `date.rs` writes them.
    pub(super) fn heard_date(&self, value: &str) -> Option<Label> {
        let label = || self.values.get(&self.trace(value)).cloned();
        if self.values.is_empty() { None } else { label() }
    }

    /// The label of a redacted name that has this word.
    pub(super) fn heard_name(&self, word: &str) -> Option<Label> {
        if self.names.is_empty() || word.chars().count() < Self::NAME {
            return None;
        }
        self.names.get(&self.trace(word)).cloned()
    }

    /// Whether `digits` may all be of a value that was redacted: more than that they have a few in common with one.
    pub(super) fn knows_all(&self, digits: &str) -> bool {
        let known = |part: &[u8]| std::str::from_utf8(part).is_ok_and(|part| self.parts.contains_key(&self.trace(part)));
        self.values.contains_key(&self.trace(digits)) || digits.as_bytes().windows(Self::PART).all(known)
    }

    fn trace(&self, value: &str) -> Trace {
        let hash = self.key.clone().chain_update(value.as_bytes()).finalize().into_bytes();
        let mut trace = Trace::default();
        trace.copy_from_slice(&hash[..16]);
        trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_number_and_another_gets_the_next() {
        let mut numbering = Numbering::new([7; 32], Arc::default());
        assert_eq!(numbering.label(&Kind::Phone, "5551234567").text, "[PHONE_1]");
        assert_eq!(numbering.label(&Kind::Phone, "5559999999").text, "[PHONE_2]");
        assert_eq!(numbering.label(&Kind::Number, "5551234567").text, "[PHONE_1]", "the value decides");
        assert_eq!(numbering.label(&Kind::Ssn, "123456789").text, "[SSN_1]");
    }

    #[test]
    fn numbers_of_an_earlier_life_are_not_given_again() {
        let mut numbering = Numbering::new([7; 32], Arc::default());
        for taken in [
            "[DRIVER_LICENSE_2]",
            "[PHONE_1]",
            "[DRIVER_LICENSE_1]",
            "[REDACTION_FAILED]",
            "odd",
            "[DATE_OF_BIRTH:12345678]",
            "",
            "[ZIP_3:4242]",
        ] {
            numbering.behind(taken);
        }
        assert_eq!(numbering.label(&Kind::DriverLicense, "A1").text, "[DRIVER_LICENSE_3]");
        assert_eq!(numbering.label(&Kind::Phone, "5551234567").text, "[PHONE_2]");
        assert_eq!(numbering.label(&Kind::Ssn, "123456789").text, "[SSN_1]");
        assert_eq!(numbering.label(&Kind::DateOfBirth, "19640506").text, "[DATE_OF_BIRTH_1]");
        assert_eq!(numbering.label(&Kind::Zip, "94103").text, "[ZIP_4]", "behind one that showed digits");
    }

    #[test]
    fn the_last_digits_of_a_label_come_and_go() {
        let label = Numbering::new([7; 32], Arc::default()).label(&Kind::CreditCard, "4111");
        assert_eq!(label.with_last("4242").text, "[CREDIT_CARD_1:4242]");
        assert_eq!(label.with_last("4242").without_last(), label);
        let hash = Label { kind: Kind::CreditCard, text: "[CREDIT_CARD:9f3a12bc]".to_owned() };
        assert_eq!(hash.without_last(), hash);
    }

    #[test]
    fn a_read_back_is_known_as_a_whole_or_by_four_digits() {
        let mut numbering = Numbering::new([7; 32], Arc::default());
        numbering.label(&Kind::CreditCard, "4111222233334444");
        numbering.label(&Kind::Cvv, "987");
        assert_eq!(numbering.heard_before("2233").expect("a part").text, "[CREDIT_CARD_1]");
        assert_eq!(numbering.heard_before("00223300").expect("a part among others").text, "[CREDIT_CARD_1]");
        assert_eq!(numbering.heard_before("987").expect("the whole").text, "[CVV_1]");
        assert!(numbering.heard_before("223").is_none());
        assert!(numbering.heard_before("5678").is_none());
    }

    #[test]
    fn the_services_names_are_mapped_or_kept() {
        assert_eq!(Kind::of_service("creditcardcvv"), Kind::Cvv);
        assert_eq!(Kind::of_service("ACCOUNTNUMBER"), Kind::BankAccount);
        assert_eq!(Kind::of_service("time"), Kind::Service("TIME".to_owned()));
    }
}
