//! Manual pages: the parser's sections, then those of [`About`].

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use crate::About;

/// A section that is the page's own: a heading, and what stands under it.
pub struct Section {
    /// The heading.
    pub heading: String,
    /// Names, and what each means.
    pub entries: Vec<(String, String)>,
}

/// The page of a command. `sections` follow the options.
pub fn page(command: Command, about: Option<&About>, sections: &[Section]) -> io::Result<Vec<u8>> {
    let notes = command.get_after_help().map(ToString::to_string);
    let version = command.get_version().unwrap_or(env!("CARGO_PKG_VERSION"));
    // What follows the number names a build.
    let version = version.split(' ').next().unwrap_or_default().to_owned();
    let has_options = command.get_arguments().any(|argument| !argument.is_hide_set());
    let has_commands = command.get_subcommands().any(|command| !command.is_hide_set());
    let man = Man::new(command).source(format!("pathspider {version}")).manual("pathspider");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if has_options {
        man.render_options_section(&mut page)?;
    }
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    for section in sections {
        let entries = section.entries.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        list(&mut rest, &section.heading.to_uppercase(), entries);
    }
    if let Some(notes) = notes {
        rest.control("SH", ["NOTES"]);
        for paragraph in notes.split("\n\n") {
            rest.control("PP", []);
            rest.text([roman(paragraph.lines().collect::<Vec<_>>().join(" "))]);
        }
    }
    if let Some(about) = about {
        sections_of(about, &mut rest);
    }
    page.extend(rest.to_roff().into_bytes());
    Ok(page)
}

fn sections_of(about: &About, page: &mut Roff) {
    if !about.examples.is_empty() {
        page.control("SH", ["EXAMPLES"]);
    }
    for (what, line) in about.examples {
        page.control("PP", []);
        page.text([roman(format!("{what}:"))]);
        page.control("PP", []);
        page.control("RS", ["4"]);
        page.text([bold(*line)]);
        page.control("RE", []);
    }
    let exits: Vec<(String, &str)> =
        about.exits.iter().map(|(number, meaning)| (number.to_string(), *meaning)).collect();
    list(page, "EXIT STATUS", exits.iter().map(|(number, meaning)| (number.as_str(), *meaning)));
    list(page, "FILES", about.files.iter().copied());
    list(page, "ENVIRONMENT", about.environment.iter().copied());
    if !about.see_also.is_empty() {
        page.control("SH", ["SEE ALSO"]);
        let mut line = Vec::new();
        for (at, page) in about.see_also.iter().enumerate() {
            line.extend((at > 0).then(|| roman(", ")));
            line.push(bold(*page));
            line.push(roman("(1)"));
        }
        page.text(line);
    }
}

/// A heading and a list of names with their meanings; nothing for none.
fn list<'a>(page: &mut Roff, heading: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    page.control("SH", [heading]);
    for (name, meaning) in entries {
        page.control("TP", []);
        page.text([italic(name)]);
        page.text([roman(meaning)]);
    }
}

/// Writes a page into a folder.
///
/// # Errors
///
/// It cannot be written.
pub fn write(folder: &Path, name: &str, page: &[u8]) -> io::Result<()> {
    fs::write(folder.join(format!("{name}.1")), page)
}

/// Writes a page for each command of a program that there is something to say about.
///
/// # Errors
///
/// One cannot be written.
pub fn write_commands(
    program: &Command,
    abouts: &'static [About],
    folder: &Path,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut program = program.clone().disable_help_subcommand(true);
    program.build();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let Some(about) = About::of(command.get_name(), abouts) else { continue };
        let name = format!("{}-{}", program.get_name(), command.get_name());
        // The name that `man` shows is the page's.
        let command = command.clone().display_name(name.clone());
        write(folder, &name, &page(command, Some(about), &[])?)?;
    }
    Ok(())
}

/// Writes the page of a program, and those of its commands.
///
/// # Errors
///
/// One cannot be written.
pub fn write_all(program: Command, abouts: &'static [About], folder: &Path) -> io::Result<()> {
    write_commands(&program, abouts, folder)?;
    let name = program.get_name().to_owned();
    write(folder, &name, &page(program, About::of("", abouts), &[])?)
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    #[test]
    fn a_page_has_all_sections() {
        const ABOUT: About = About {
            command: "",
            examples: &[("Do it", "x --fast")],
            exits: &[(0, "done"), (2, "wrong")],
            files: &[("/var/lib/x", "what it keeps")],
            environment: &[("X_DIR", "where it keeps it")],
            see_also: &["y", "z"],
        };
        let command = Command::new("x").about("Does it").version("1.0 (of today)");
        let command = command.arg(Arg::new("fast").long("fast").help("Fast")).after_help("A note.");
        let more = Section {
            heading: "Conditions".into(),
            entries: vec![("x.works".into(), "it works".into())],
        };
        let text = String::from_utf8(page(command, Some(&ABOUT), &[more]).unwrap()).unwrap();
        for heading in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "CONDITIONS",
            "NOTES",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "FILES",
            "ENVIRONMENT",
            "\"SEE ALSO\"",
        ] {
            assert!(text.contains(&format!(".SH {heading}")), "{heading}: {text}");
        }
        assert!(text.contains("\"pathspider 1.0\""), "{text}");
    }
}
