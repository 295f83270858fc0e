//! Fault plans: JSON with a list of rules under `faults`, as the phone (`replay`) and the speech service (`emulate`) take them.
//!
//! Promises: pure; what is wrong is said with the rule's number; a key that a rule of its kind does not have is an error that
//! names the nearest one, since a misspelt condition would let the rule hold everywhere.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Reads a plan `P` whose rules are `R`s; `R` writes out every key it knows, absent conditions as null.
///
/// # Errors
/// One line that says what the plan should be like, to stand behind the file's name.
pub fn read<P: DeserializeOwned, R: DeserializeOwned + Serialize>(json: &str) -> Result<P, String> {
    let none = |error: serde_json::Error| format!("is no fault plan ({{\"faults\":[{{\"kind\":…}}]}}): {error}");
    let plan: Value = serde_json::from_str(json).map_err(none)?;
    for (number, rule) in plan["faults"].as_array().into_iter().flatten().enumerate() {
        check::<R>(rule).map_err(|what| format!("has in rule {} {what}", number + 1))?;
    }
    serde_json::from_value(plan).map_err(none)
}

/// Flattening keeps serde from refusing unknown keys, so they are compared with what the rule writes out.
fn check<R: DeserializeOwned + Serialize>(given: &Value) -> Result<(), String> {
    let rule = R::deserialize(given).map_err(|error| format!("what cannot be: {error}"))?;
    let known = serde_json::to_value(rule).expect("a rule is plain data");
    let names = |value: &Value| value.as_object().map_or_else(Vec::new, |fields| fields.keys().cloned().collect());
    let (known, given) = (names(&known), names(given));
    let Some(unknown) = given.iter().find(|name| !known.contains(name)) else { return Ok(()) };
    let score = |name: &str| strsim::normalized_damerau_levenshtein(unknown, name);
    let nearest = known.iter().max_by(|one, other| score(one).total_cmp(&score(other))).map_or("", String::as_str);
    Err(format!("an unknown key \"{unknown}\"; did you mean \"{nearest}\"? Keys of this kind are: {}", known.join(", ")))
}
