//! Measurements that are written against the contract as examples: each keeps its rules, and finds each
//! fault of the paths in its folder `lab`.

use std::fs;
use std::path::Path;
use std::process::Command;

use pathspider_e2e::{Ended, built, temp_dir};

use crate::check::{broken, check};

/// Checks the library, and measures its paths.
fn finds(name: &str) {
    let library = built(&format!("libpathspider_{name}.so"));
    let (end, checked) = check(&library, &[]);
    assert_eq!(broken(&checked), [], "{checked:#?}");
    end.expect(0, &[]);
    if let Err(error) = pathspider_lab::net::prepare() {
        return pathspider_e2e::skipped(error);
    }
    let folder = temp_dir(&format!("example-{name}"));
    fs::copy(&library, folder.join(format!("{name}.so"))).unwrap();
    let paths = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../plugins/{name}/lab"));
    let mut paths: Vec<_> = fs::read_dir(paths).unwrap().map(|path| path.unwrap().path()).collect();
    paths.sort();
    let mut lab = Command::new(built("pathspider-lab"));
    lab.args(["check", "--targets", "2", "--rejudge"]).args(&paths);
    lab.env("PATHSPIDER_PLUGIN_PATH", &folder);
    let ended = Ended::from(lab.output().unwrap());
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
    let all = format!("all {} paths measured as they are", paths.len());
    assert!(ended.stdout.contains(&all), "{}", ended.stdout);
}

#[test]
fn a_ladder_finds_where_a_mark_is_harmed() {
    finds("ladder");
}
