use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The vectors of protocols/ingress.md section 3.5.
const VECTORS: [(&str, &str); 8] = [
    ("wss://bridge.example.com/media/twilio", "pdNh/PVQcUqJrppuXVeC/tngji4="),
    ("wss://bridge.example.com/media/twilio/", "lRqR+5H83Um2a+cS1x/SQXRy3Yk="),
    ("wss://bridge.example.com", "CchJCkJQ+BMPxDGHC1HUzWRqf14="),
    ("wss://bridge.example.com/", "f8FtU6v5KReKbUDsZhmwYl3gKjU="),
    ("wss://bridge.example.com:443/media/twilio", "qW6doHcAVGeaEx4IF5LvLR8F1E0="),
    ("wss://bridge.example.com:80/media/twilio", "mCYl6fKY8WaXWAAVOq/bgj+fYog="),
    ("wss://bridge.example.com:8443/media/twilio", "kOMNshKeuiU1NYeJapobzw/W7Ks="),
    ("https://bridge.example.com/media/twilio", "22eruR9TVOJ3kwj9XzisIPTnn+0="),
];

fn token(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn check_at(public_url: &str, path: &str, query: Option<&str>, signature: &str) -> Result<(), Unsigned> {
    let public_url = Url::parse(public_url).unwrap();
    check_handshake(Request { public_url: &public_url, path, query }, [signature.as_bytes()], &[token(TOKEN)])
}

fn form(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn signing_gives_the_known_vectors() {
    for (url, signature) in VECTORS {
        assert_eq!(sign(&token(TOKEN), url, &[]), signature, "{url}");
    }
    let url = "https://bridge.example.com/hooks/voice?tenant=a%20b";
    let signature = sign(&token(TOKEN), url, &form(&[("To", "+15550199"), ("CallSid", "CA0123"), ("From", "+15550100")]));
    assert_eq!(signature, "Hh09jKj2mN/yYHBcQhCub9iI25M=");
}

#[test]
fn a_handshake_is_accepted_for_each_way_of_writing_the_configured_address() {
    let accepted = |public_url: &str, path: &str| -> Vec<&str> {
        VECTORS.iter().filter(|(_, signature)| check_at(public_url, path, None, signature).is_ok()).map(|(url, _)| *url).collect()
    };
    let usual = [VECTORS[0].0, VECTORS[1].0, VECTORS[4].0];
    for same in ["https://bridge.example.com", "https://bridge.example.com/", "wss://user:secret@BRIDGE.example.com:443"] {
        assert_eq!(accepted(same, "/media/twilio"), usual, "{same}");
        assert_eq!(accepted(same, "/media/twilio/"), usual, "{same}");
    }
    assert_eq!(accepted("https://bridge.example.com", "/"), [VECTORS[2].0, VECTORS[3].0]);
    assert_eq!(accepted("https://bridge.example.com:8443", "/media/twilio"), [usual[0], usual[1], usual[2], VECTORS[6].0]);
    assert_eq!(accepted("https://bridge.example.com:80", "/media/twilio"), [usual[0], usual[1], usual[2], VECTORS[5].0]);
    assert_eq!(accepted("https://bridge.example.com/media", "/twilio"), usual);
    assert!(accepted("https://other.example.com", "/media/twilio").is_empty());
    assert!(accepted("https://bridge.example.com", "/media/other").is_empty());
    assert!(accepted("https://bridge.example.com", "/media/Twilio").is_empty());
}

#[test]
fn a_query_is_accepted_as_it_is_and_as_sorted_pairs() {
    let base = "wss://bridge.example.com/media/twilio";
    let whole = sign(&token(TOKEN), &format!("{base}?b=2%20&a=1"), &[]);
    let pairs = sign(&token(TOKEN), base, &form(&[("a", "1"), ("b", "2 ")]));
    for signature in [whole.as_str(), &pairs] {
        assert_eq!(check_at("https://bridge.example.com", "/media/twilio", Some("b=2%20&a=1"), signature), Ok(()));
        assert_eq!(check_at("https://bridge.example.com", "/media/twilio", Some("b=3&a=1"), signature), Err(Unsigned::Mismatch));
    }
    assert_eq!(check_at("https://bridge.example.com", "/media/twilio", Some("x=1"), VECTORS[0].1), Err(Unsigned::Mismatch));
}

#[test]
fn either_of_two_tokens_is_accepted_and_none_is_never() {
    let public_url = Url::parse("https://bridge.example.com").unwrap();
    let request = Request { public_url: &public_url, path: "/media/twilio", query: None };
    let header = || [VECTORS[0].1.as_bytes()];
    assert_eq!(check_handshake(request, header(), &[token("old"), token(TOKEN)]), Ok(()));
    assert_eq!(check_handshake(request, header(), &[token(TOKEN), token("new")]), Ok(()));
    assert_eq!(check_handshake(request, header(), &[token("old")]), Err(Unsigned::Mismatch));
    assert_eq!(check_handshake(request, header(), &[]), Err(Unsigned::Mismatch));
}

#[test]
fn a_missing_double_or_broken_header_is_refused() {
    let public_url = Url::parse("https://bridge.example.com").unwrap();
    let request = Request { public_url: &public_url, path: "/media/twilio", query: None };
    let right = VECTORS[0].1.as_bytes();
    let tokens = [token(TOKEN)];
    assert_eq!(check_handshake(request, [], &tokens), Err(Unsigned::Missing));
    assert_eq!(check_handshake(request, [right, right], &tokens), Err(Unsigned::Twice));
    for broken in ["", "no base64!", "AAAA", "pdNh/PVQcUqJrppuXVeC/tngji4", "pdNh/PVQcUqJrppuXVeC/tngji5="] {
        assert_eq!(check_handshake(request, [broken.as_bytes()], &tokens), Err(Unsigned::Mismatch), "{broken:?}");
    }
}

#[test]
fn a_webhook_is_checked_with_its_form_sorted_and_without_doubles() {
    let public_url = Url::parse("https://bridge.example.com").unwrap();
    let request = Request { public_url: &public_url, path: "/hooks/voice", query: Some("tenant=a%20b") };
    let signature = "Hh09jKj2mN/yYHBcQhCub9iI25M=".as_bytes();
    let tokens = [token(TOKEN)];
    let sent = form(&[("To", "+15550199"), ("CallSid", "CA0123"), ("From", "+15550100"), ("To", "+15550199")]);
    assert_eq!(check_form(request, &sent, [signature], &tokens), Ok(()));
    assert_eq!(check_form(request, &sent[..2], [signature], &tokens), Err(Unsigned::Mismatch));
    assert_eq!(check_form(Request { query: None, ..request }, &sent, [signature], &tokens), Err(Unsigned::Mismatch));
    let repeated = sign(&token(TOKEN), "https://bridge.example.com/hooks/voice", &form(&[("a", "2"), ("a", "1"), ("a", "2")]));
    assert_eq!(repeated, sign(&token(TOKEN), "https://bridge.example.com/hooks/voicea1a2", &[]));
}

#[test]
fn a_trial_without_tls_takes_both_socket_schemes_and_no_web_scheme() {
    for (url, fits) in [("ws://127.0.0.1:8080/m", true), ("wss://127.0.0.1:8080/m", true), ("http://127.0.0.1:8080/m", false)] {
        let signature = sign(&token(TOKEN), url, &[]);
        assert_eq!(check_at("http://127.0.0.1:8080", "/m", None, &signature).is_ok(), fits, "{url}");
    }
}
