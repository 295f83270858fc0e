//! The command line by itself; `tests/cli.rs` runs the program.

use super::*;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_help_starts_with_an_example_that_parses() {
    fn visit(command: &mut clap::Command) {
        let help = command.render_help().to_string();
        let first = help.lines().next().unwrap_or_default().to_owned();
        let example = first.strip_prefix("Example:  ").unwrap_or_else(|| panic!("{}: {first}", command.get_name()));
        let words = example.split(" > ").next().unwrap_or_default().split_whitespace();
        if let Err(why) = Cli::try_parse_from(words) {
            panic!("{example}: {why}");
        }
        command.get_subcommands_mut().for_each(visit);
    }
    let mut command = Cli::command();
    command.build();
    visit(&mut command);
}

#[test]
fn a_wrong_command_line_is_one_line_that_helps() {
    let line = |words: &str| usage_line(&Cli::try_parse_from(words.split(' ')).map(|_| ()).unwrap_err());
    assert_eq!(
        line("pulse-bridge serve --listne 1"),
        "unexpected argument '--listne' found; a similar argument exists: '--listen'; see: pulse-bridge serve --help"
    );
    assert_eq!(
        line("pulse-bridge serv"),
        "unrecognized subcommand 'serv'; a similar subcommand exists: 'serve'; see: pulse-bridge --help"
    );
    assert_eq!(line("pulse-bridge"), "no command given; see: pulse-bridge --help");
    for words in [
        "replay",
        "replay x --speed 0",
        "replay x --calls 0",
        "replay x --write-expected",
        "replay x --tolerance-ms 5",
        "serve --listen 8080",
        "deliveries retry",
        "deliveries retry dlv_1 --parked",
        "deliveries retry dlv_1 --endpoint crm",
        "deliveries list --state lost",
        "emulate --engine x",
        "engine install --model large",
        "engine status --wheel x",
        "receive --fail 503:3",
    ] {
        let line = line(&format!("pulse-bridge {words}"));
        assert!(!line.contains('\n') && line.contains("; see: pulse-bridge "), "{line}");
    }
}

#[test]
fn what_is_not_in_this_version_is_known_by_name() {
    let not_yet = |words: &str| Cli::try_parse_from(format!("pulse-bridge {words}").split(' ')).unwrap().command.not_yet();
    let later = ["calls", "calls export CA1 --format vcon --url http://h --json", "replay x --dialect telnyx"];
    for words in later {
        assert!(not_yet(words).is_some(), "{words}");
        let command = Cli::command();
        let command = words.split(' ').next().and_then(|name| command.find_subcommand(name)).expect("a command");
        let option = words.split(" --").nth(1).and_then(|rest| rest.split(' ').next());
        let option = command.get_arguments().find(|argument| option.is_some() && argument.get_long() == option);
        let helps = [command.get_about(), option.and_then(clap::Arg::get_help)];
        let says_so = |help: &clap::builder::StyledStr| help.to_string().contains("not in this version yet");
        assert!(helps.into_iter().flatten().any(says_so), "the help of {words} says so");
    }
    for words in [
        "serve",
        "demo --keep",
        "replay x --speed max --sign-with t",
        "emulate --script s",
        "receive",
        "engine",
        "engine install --wheel x --wheel y --model accurate",
        "engine status --json",
        "redact --explain --json --config x y",
        "deliveries",
        "deliveries retry --parked --endpoint crm",
        "doctor",
        "doctor --ready",
        "man",
    ] {
        assert_eq!(not_yet(words), None, "{words}");
    }
}

#[test]
fn a_failure_is_one_line_or_one_object() {
    let failure = Failure::from(anyhow::anyhow!("the port\nis taken").context("cannot listen"));
    assert_eq!(failure.line(false), "error: cannot listen: the port is taken");
    assert_eq!(failure.line(true), r#"{"error":"cannot listen: the port is taken","exit_code":1}"#);
    assert_eq!(Failure::usage(anyhow::anyhow!("x")).code, 2);
}

#[test]
fn man_page_and_completions_name_the_commands_and_hide_themselves() {
    let mut page = Vec::new();
    man(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("serve") && !page.contains("completions"));
    let mut script = Vec::new();
    completions(Shell::Bash, &mut script);
    assert!(String::from_utf8(script).unwrap().contains("--sign-with"));
}
