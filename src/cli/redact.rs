//! `redact`: transcripts as JSON lines from a file or standard input, the same redacted to standard output, line by line.
//!
//! Promises: a line that was read is answered before the next one is read; a line that is no call is told by its number, never by its
//! words, and the rest goes on; no line is kept that is longer than 1 MiB.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
};

use anyhow::{Context, anyhow};
use zeroize::{Zeroize, Zeroizing};

use super::{Failure, Redact};
use crate::{
    clock, config,
    redact::{self, DigitPolicy, GateSettings, lines},
};

/// Most bytes of a line: some ten hours of speech.
const LONGEST_LINE: usize = 1 << 20;

/// Runs the command.
///
/// # Errors
/// Exit code 2 for settings and a file that cannot be read, 1 where a line was no call or a text had to be withheld.
pub fn run(arguments: &Redact) -> Result<(), Failure> {
    // An old transcript tells a menu's keys from others by what was asked, as its reader would.
    let redaction = config::driver::read(arguments.settings.config.as_deref())?.redaction;
    let names = redaction.name_model.as_deref().map(redact::driver::load).transpose().map_err(Failure::usage)?;
    let settings = GateSettings { digits: DigitPolicy::ShowMenu, names, ..redaction.gate() };
    let redacted = |line: &str| lines::redacted(line, &settings, clock::random(), clock::now(), arguments.explain);
    let out = io::stdout().lock();
    let told = |number, what: &str| tell(number, what, arguments.json);
    let is_whole = match &arguments.file {
        Some(path) => each(&mut open(path)?, out, redacted, told)?,
        None => each(&mut io::stdin().lock(), out, redacted, told)?,
    };
    if is_whole { Ok(()) } else { Err(Failure::told(1)) }
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display())).map_err(Failure::usage)?;
    Ok(BufReader::new(file))
}

fn tell(number: u64, what: &str, is_json: bool) {
    let line = Failure::from(anyhow!("line {number}: {what}")).line(is_json);
    // Nobody may be reading; that is no reason to stop.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Answers every line; says whether all of them could be.
fn each(
    input: &mut impl BufRead,
    mut out: impl Write,
    redacted: impl Fn(&str) -> Result<lines::Clean, lines::Wrong>,
    told: impl Fn(u64, &str),
) -> anyhow::Result<bool> {
    let (mut is_whole, mut number) = (true, 0);
    let mut line = Zeroizing::new(Vec::new());
    while let Some(fits) = next(input, &mut line).context("cannot read on")? {
        number += 1;
        let answer = match std::str::from_utf8(&line) {
            _ if !fits => Err(format!("it is longer than {} MiB", LONGEST_LINE >> 20)),
            Err(_) => Err("it is not UTF-8".to_owned()),
            Ok(text) if text.trim().is_empty() => continue,
            Ok(text) => redacted(text).map_err(|wrong| wrong.to_string()),
        };
        let clean = answer.map_err(|what| told(number, &what)).ok();
        if let Some(withheld) = clean.as_ref().map(|clean| clean.withheld).filter(|withheld| *withheld > 0) {
            told(number, &format!("{withheld} of its texts could not be searched and are withheld"));
            is_whole = false;
        }
        let Some(clean) = clean else {
            is_whole = false;
            continue;
        };
        match writeln!(out, "{}", clean.line).and_then(|()| out.flush()) {
            // Whoever reads has enough.
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(is_whole),
            written => written.context("cannot write to stdout")?,
        }
    }
    Ok(is_whole)
}

/// The next line without its end, and whether it fits; what is beyond the longest is read over. `None` behind the last.
fn next(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.zeroize();
    let (mut fits, mut began) = (true, false);
    loop {
        let read = match input.fill_buf() {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read.is_empty() {
            return Ok(began.then_some(fits));
        }
        began = true;
        let end = read.iter().position(|byte| *byte == b'\n');
        let part = &read[..end.unwrap_or(read.len())];
        fits &= line.len() + part.len() <= LONGEST_LINE;
        if fits {
            line.extend_from_slice(part);
        }
        let used = end.map_or(read.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(Some(fits));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whole_or_read_over() {
        let long = "x".repeat(LONGEST_LINE);
        let text = format!("one\r\n\n{long}\n{long}y\nlast");
        // A reader with a small buffer gives a line in many pieces.
        let mut input = BufReader::with_capacity(1000, text.as_bytes());
        let mut line = Vec::new();
        let mut read = || next(&mut input, &mut line).unwrap().map(|fits| (fits, line.len()));
        assert_eq!([read(), read(), read()], [Some((true, 4)), Some((true, 0)), Some((true, LONGEST_LINE))]);
        assert!(matches!(read(), Some((false, _))));
        assert_eq!([read(), read()], [Some((true, 4)), None]);
    }

    #[test]
    fn every_line_has_its_answer_or_its_error() {
        let clean = |line: &str| match line {
            "bad" => Err(lines::Wrong::NotJson),
            _ => Ok(lines::Clean { line: format!("<{line}>"), withheld: usize::from(line == "odd") }),
        };
        let told = std::cell::RefCell::new(Vec::new());
        let run = |text: &[u8]| {
            let mut out = Vec::new();
            let tell = |number, what: &str| told.borrow_mut().push(format!("{number} {what}"));
            let is_whole = each(&mut BufReader::new(text), &mut out, clean, tell).unwrap();
            (is_whole, String::from_utf8(out).unwrap(), std::mem::take(&mut *told.borrow_mut()))
        };
        assert_eq!(run(b"one\n\ntwo"), (true, "<one>\n<two>\n".to_owned(), vec![]));
        let (is_whole, out, told) = run(b"bad\n\xff\nodd\nend\n");
        assert_eq!((is_whole, out.as_str()), (false, "<odd>\n<end>\n"));
        assert_eq!(told, ["1 it is not JSON", "2 it is not UTF-8", "3 1 of its texts could not be searched and are withheld"]);
    }
}
