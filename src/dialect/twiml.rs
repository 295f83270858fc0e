//! The `TwiML` that starts a stream of both tracks to this bridge, and the check of what the operator wants to run behind it.
//! Source: protocols/ingress.md section 3.1.
//!
//! Promises: whatever the URL, the parameters or the token hold, the document is well-formed; a fragment that passed [`check_after`] keeps it so.

use quick_xml::{Reader, XmlVersion, events::BytesStart, events::Event};

/// What runs behind the stream unless told otherwise: without any verb the call would be hung up at once.
pub const DEFAULT_AFTER: &str = r#"<Pause length="3600"/>"#;

/// The `Content-Type` of `TwiML`.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// An answer to a voice webhook.
#[derive(Debug, Clone, Copy)]
pub struct Voice<'a> {
    /// Where Twilio is to stream to: `wss://…`, without a query (Twilio drops it).
    pub stream_url: &'a str,
    /// Where Twilio is to report the stream's fate.
    pub status_callback: Option<&'a str>,
    /// Custom parameters of the start message, e.g. `token`; name and value together stay under 500 characters.
    pub parameters: &'a [(&'a str, &'a str)],
    /// A fragment that has passed [`check_after`].
    pub after: &'a str,
}

impl Voice<'_> {
    /// The whole document.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let url = escaped(self.stream_url);
        let callback = self.status_callback.map(|url| format!(r#" statusCallback="{}""#, escaped(url))).unwrap_or_default();
        let parameter =
            |(name, value): &(&str, &str)| format!(r#"<Parameter name="{}" value="{}"/>"#, escaped(name), escaped(value));
        let parameters = self.parameters.iter().map(parameter).collect::<Vec<_>>().concat();
        let stream = format!(r#"<Stream url="{url}" track="both_tracks"{callback}>{parameters}</Stream>"#);
        format!(r#"<?xml version="1.0" encoding="UTF-8"?><Response><Start>{stream}</Start>{}</Response>"#, self.after)
    }
}

/// Text as it may stand in an attribute or between tags; characters that XML 1.0 does not know are left out.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            char => out.push(char),
        }
    }
    out
}

/// Whether a fragment may follow the stream: balanced, well-formed elements and no text, no document type, no processing instruction
/// around or between them. A malformed one must fail at start, not as Twilio's error 12100 in a live call.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn check_after(fragment: &str) -> Result<(), String> {
    let mut reader = Reader::from_str(fragment);
    reader.config_mut().check_comments = true;
    let mut depth = 0_usize;
    loop {
        match reader.read_event().map_err(|why| format!("it is not well-formed XML: {why}"))? {
            Event::Start(tag) => {
                check_tag(&tag, depth)?;
                depth += 1;
            }
            Event::Empty(tag) => check_tag(&tag, depth)?,
            Event::End(_) => depth -= 1,
            Event::Text(text) if depth == 0 && !text.trim_ascii().is_empty() => {
                return Err("it has text outside of any element".to_owned());
            }
            Event::CData(_) | Event::GeneralRef(_) if depth == 0 => return Err("it has text outside of any element".to_owned()),
            Event::GeneralRef(entity) => check_entity(&format!("&{};", &*entity))?,
            Event::Text(text) => check_text(&text)?,
            Event::CData(_) | Event::Comment(_) => {}
            Event::Decl(_) | Event::PI(_) => return Err("it has a processing instruction (<?…?>)".to_owned()),
            Event::DocType(_) => return Err("it has a document type (<!DOCTYPE …>)".to_owned()),
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => return Err("an element is not closed".to_owned()),
        }
    }
}

fn check_tag(tag: &BytesStart<'_>, depth: usize) -> Result<(), String> {
    let qname = tag.name();
    let name: &str = qname.as_ref();
    let starts = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    if !starts || !name.chars().all(|char| char.is_alphanumeric() || "_-.:".contains(char)) {
        return Err("an element has an impossible name".to_owned());
    }
    if depth == 0 && name == "Response" {
        return Err("it must hold what goes inside <Response>, not <Response> itself".to_owned());
    }
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|why| format!("an attribute of <{name}> is malformed: {why}"))?;
        if attribute.value.contains('<') {
            return Err(format!("an attribute of <{name}> holds a bare <"));
        }
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|why| format!("an attribute of <{name}> is malformed: {why}"))?;
    }
    Ok(())
}

fn check_entity(reference: &str) -> Result<(), String> {
    quick_xml::escape::unescape(reference).map(drop).map_err(|why| format!("it has an unknown reference: {why}"))
}

fn check_text(text: &str) -> Result<(), String> {
    if text.contains("]]>") { Err("it has ]]> outside of CDATA".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice<'a>(parameters: &'a [(&'a str, &'a str)]) -> Voice<'a> {
        Voice { stream_url: "wss://bridge.example.com/media/twilio", status_callback: None, parameters, after: DEFAULT_AFTER }
    }

    #[test]
    fn the_answer_starts_a_stream_of_both_tracks_and_keeps_the_call_up() {
        let answer =
            Voice { status_callback: Some("https://bridge.example.com/twilio/status"), ..voice(&[("token", "b7Qk")]) }.to_xml();
        assert_eq!(
            answer,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Start><Stream url=\"wss://bridge.example.com/media/twilio\" \
             track=\"both_tracks\" statusCallback=\"https://bridge.example.com/twilio/status\"><Parameter name=\"token\" \
             value=\"b7Qk\"/></Stream></Start><Pause length=\"3600\"/></Response>"
        );
    }

    #[test]
    fn whatever_a_parameter_holds_the_document_stays_well_formed() {
        for hostile in ["\"/><Hangup/>", "<&>'", "a\nb\tc\r\u{0}\u{1f}\u{ffff}", "&amp;", "é"] {
            let xml = voice(&[(hostile, hostile)]).to_xml();
            let inner = xml.split_once("?>").unwrap().1.strip_prefix("<Response>").unwrap().strip_suffix("</Response>").unwrap();
            assert_eq!(check_after(inner), Ok(()), "{hostile:?}");
            assert_eq!(inner.matches('<').count(), 6, "{hostile:?}");
        }
    }

    #[test]
    fn a_fragment_of_whole_elements_may_follow() {
        for fine in [
            DEFAULT_AFTER,
            "",
            " <Dial>+15550100</Dial>\n<Hangup/> ",
            r#"<Dial callerId="+1&amp;2"><Number url='x?a=1&#38;b'>+1555 &lt;</Number></Dial><!-- done -->"#,
            "<Say><![CDATA[a < b]]></Say>",
        ] {
            assert_eq!(check_after(fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn a_fragment_that_would_break_the_answer_is_refused() {
        for broken in [
            "<Dial>",
            "</Dial>",
            "</Response>",
            "<Dial></Number>",
            "<Dial",
            "Dial",
            "&amp;",
            "<![CDATA[x]]>",
            "<Dial a=1/>",
            "<Dial a=\"1\" a=\"2\"/>",
            "<Dial a=\"<\"/>",
            "<Dial a=\"&nope;\"/>",
            "<Dial>&nope;</Dial>",
            "<Dial>a & b</Dial>",
            "<Dial>]]></Dial>",
            "<?php x?><Hangup/>",
            "<?xml version=\"1.0\"?><Hangup/>",
            "<!DOCTYPE a><Hangup/>",
            "<1/>",
            "<!-- a -- b --><Hangup/>",
            "<Response><Hangup/></Response>",
            "<Hangup/></Response><Response>",
        ] {
            assert!(check_after(broken).is_err(), "{broken}");
        }
    }
}
