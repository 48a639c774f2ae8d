//! `make uninstall`: it removes what one installation has, and nothing of another.

use std::process::Command;

use pathspider_e2e::{Ended, skipped, temp_dir};

#[test]
fn the_cache_goes_with_the_last_installation_that_it_knows() {
    if !rustix::process::geteuid().is_root() {
        return skipped("it needs root");
    }
    let folder = temp_dir("uninstalling").display().to_string();
    // A cache of the test's own, in its own view.
    let script = format!(
        "set -e
         mount -t tmpfs tmpfs /var/cache
         cache=/var/cache/pathspider; mkdir $cache
         for prefix in one two; do
             mkdir -p {folder}/$prefix/bin {folder}/$prefix/lib/pathspider
             touch {folder}/$prefix/bin/pathspider {folder}/$prefix/lib/pathspider/ecn.so
         done
         echo '{{\"files\":{{\"{folder}/one/lib/pathspider/ecn.so\":{{}},\"{folder}/two/lib/pathspider/ecn.so\":{{}}}}}}' \
             >$cache/plugins-0.json
         make -s uninstall PREFIX={folder}/none; test -e $cache
         make -s uninstall PREFIX={folder}/one DESTDIR={folder}/elsewhere; test -e $cache
         make -s uninstall PREFIX={folder}/one; test -e $cache
         test ! -e {folder}/one/bin/pathspider -a ! -e {folder}/one/lib/pathspider
         test -e {folder}/two/lib/pathspider/ecn.so
         make -s uninstall PREFIX={folder}/one; test -e $cache
         make -s uninstall PREFIX={folder}/two; test ! -e $cache"
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    Ended::from(command.output().unwrap()).expect(0, &[]);
}
