//! Journals that are found: who may touch them, and when.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use pathspider_e2e::{Program, state_dir};

use super::journals;

#[test]
fn a_journal_that_cannot_be_read_is_told_and_stays() {
    let begun = state_dir().join("begun.journal");
    let other = state_dir().join("other.journal");
    let open = state_dir().join("open.journal");
    fs::write(&begun, "").unwrap();
    fs::write(&other, "{\"format\":2}\n{\"sysctl\":{}}\n").unwrap();
    fs::write(&open, "{}\n").unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    let paths = [&begun, &other, &open].map(|path| path.display().to_string());
    let words = paths.each_ref().map(String::as_str);
    for (arguments, status) in [(vec!["restore"], 1), (vec!["restore", "--forget"], 1)] {
        Program::run(&arguments).expect(status, &words);
    }
    let other_start = Program::run(&["--list-plugins"]);
    other_start.expect(0, &words);
    other_start.expect(0, &["others may write to it", "is not restored; it stays"]);
    assert_eq!(journals(), 3);
}
