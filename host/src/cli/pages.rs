//! What help and the manual pages say of each command beside its options: examples, exit statuses,
//! files, environment, other pages.

use pathspider_runtime::exit::Exit::*;
use pathspider_shell::{About, Named, Status};

const PLUGIN_PATH: Named = (
    "PATHSPIDER_PLUGIN_PATH",
    "more folders of plugins, separated by colons; searched after --plugin-dir",
);
const STATE_DIR: Named = (
    "PATHSPIDER_STATE_DIR",
    "the folder of journals: how to undo each change of the system's settings",
);
const NO_COLOR: Named = ("NO_COLOR", "if it is set, help has no colours");

const PLUGINS: Named = (
    "/usr/lib/pathspider, /usr/local/lib/pathspider",
    "the plugins; also the folder plugins beside the program, and ../lib/pathspider from there",
);
const CACHE: Named =
    ("/var/cache/pathspider", "what is known of root's plugins; ~/.cache/pathspider for others");
const JOURNALS: Named = (
    "/var/lib/pathspider",
    "journals of runs that change settings; ~/.local/state/pathspider for others",
);
const METADATA: Named = ("FILE.meta.json", "the metadata, beside an output FILE");

const PLUGINS_ONLY: &[Named] = &[PLUGIN_PATH, NO_COLOR];

/// How a measurement may end.
pub(super) const RUN: &[Status] = &[
    Finished.status(),
    Failed.status(),
    Usage.status(),
    NoPlugin.status(),
    PluginRefused.status(),
    NoPrivilege.status(),
    NoInterface.status(),
    NoInput.status(),
    NoOutput.status(),
    FinishedWithErrors.status(),
    Stopped.status(),
];

/// What a measurement reads and writes by itself.
pub(super) const RUN_FILES: &[Named] = &[PLUGINS, CACHE, JOURNALS, METADATA];

/// What a measurement goes by.
pub(super) const RUN_ENVIRONMENT: &[Named] = &[PLUGIN_PATH, STATE_DIR, NO_COLOR];

/// The commands, the program itself first.
pub(super) const ABOUTS: &[About] = &[
    About {
        command: "",
        examples: &[
            ("See whether this machine can measure", "pathspider doctor"),
            ("Measure two targets", "pathspider ecn www.example.org 192.0.2.1"),
            (
                "Measure the targets of a file",
                "pathspider measure -i eth0 --input targets.csv --output ecn.ndjson ecn",
            ),
            ("See what came of it", "pathspider report ecn.ndjson"),
        ],
        exits: RUN,
        files: RUN_FILES,
        environment: RUN_ENVIRONMENT,
        see_also: &[
            "pathspider-measure",
            "pathspider-doctor",
            "pathspider-report",
            "pathspider-lab",
        ],
    },
    About {
        command: "measure",
        examples: &[
            (
                "Measure ECN to the targets of a file",
                "pathspider measure --input targets.csv --output ecn.ndjson ecn",
            ),
            (
                "Go on where a run ended",
                "pathspider measure --input targets.csv --output ecn.ndjson --resume ecn",
            ),
            (
                "Look names up, in random order, at most 50 connections a second",
                "pathspider measure --resolve --shuffle --rate 50 --input names.txt --output dscp.ndjson dscp",
            ),
            (
                "Confirm what is impaired by three more rounds",
                "pathspider measure --confirm 3 --input targets.csv --output tfo.ndjson tfo",
            ),
        ],
        exits: RUN,
        files: RUN_FILES,
        environment: RUN_ENVIRONMENT,
        see_also: &["pathspider", "pathspider-filter", "pathspider-report", "pathspider-rejudge"],
    },
    About {
        command: "probe",
        examples: &[
            ("Make every measurement of a target", "pathspider probe www.example.org"),
            (
                "The same of two, for programs",
                "pathspider probe --json 192.0.2.1 '[2001:db8::1]:443'",
            ),
        ],
        exits: &[
            Finished.status(),
            Failed.status(),
            Usage.status(),
            NoPlugin.status(),
            PluginRefused.status(),
            NoPrivilege.status(),
            NoInterface.status(),
            NoInput.status(),
            NoOutput.status(),
            FinishedWithErrors.status(),
            Stopped.status(),
            Impaired.status(),
        ],
        files: &[PLUGINS, CACHE, JOURNALS],
        environment: RUN_ENVIRONMENT,
        see_also: &["pathspider", "pathspider-measure", "pathspider-trace"],
    },
    About {
        command: "trace",
        examples: &[
            ("See where packets are harmed", "pathspider trace www.example.org"),
            (
                "Look for one code point, again and again",
                "pathspider trace --dscp 46 --watch 192.0.2.1",
            ),
        ],
        exits: &[
            Finished.status(),
            Failed.status(),
            Usage.status(),
            NoPrivilege.status(),
            NoInterface.status(),
            NoInput.status(),
            NoOutput.status(),
            FinishedWithErrors.status(),
            Stopped.status(),
            Impaired.status(),
        ],
        files: &[],
        environment: &[NO_COLOR],
        see_also: &["pathspider", "pathspider-probe"],
    },
    About {
        command: "observe",
        examples: &[
            ("List the chains and their fields", "pathspider observe --list-chains"),
            ("Watch handshakes on an interface", "pathspider observe -i eth0 basic tcp ecn"),
            (
                "Read a capture",
                "pathspider observe -i capture.pcap --output flows.ndjson basic tcp",
            ),
        ],
        exits: &[
            Finished.status(),
            Failed.status(),
            Usage.status(),
            NoPrivilege.status(),
            NoInterface.status(),
            NoInput.status(),
            NoOutput.status(),
            Stopped.status(),
        ],
        files: &[PLUGINS, CACHE],
        environment: PLUGINS_ONLY,
        see_also: &["pathspider", "pathspider-measure"],
    },
    About {
        command: "filter",
        examples: &[
            ("Pick what is broken", "pathspider filter -c '*.broken' ecn.ndjson"),
            ("Count the conditions", "pathspider filter --count ecn.ndjson"),
            ("Give all targets another port", "pathspider filter --dp 443 --csv-input targets.csv"),
        ],
        exits: &[
            Finished.status(),
            Usage.status(),
            NoInput.status(),
            NoOutput.status(),
            FinishedWithErrors.status(),
        ],
        files: &[],
        environment: &[NO_COLOR],
        see_also: &["pathspider", "pathspider-report"],
    },
    About {
        command: "rejudge",
        examples: &[(
            "Conclude again, and write what is different now",
            "pathspider rejudge --records ecn.ndjson --pcap ecn.pcap --changed --output new.ndjson",
        )],
        exits: &[
            Finished.status(),
            Failed.status(),
            Usage.status(),
            NoPlugin.status(),
            PluginRefused.status(),
            NoInput.status(),
            NoOutput.status(),
            FinishedWithErrors.status(),
        ],
        files: &[PLUGINS, CACHE, METADATA],
        environment: PLUGINS_ONLY,
        see_also: &["pathspider-measure"],
    },
    About {
        command: "check",
        examples: &[
            ("Check a plugin", "pathspider check target/release/libpathspider_mymeasure.so"),
            ("Show the rules", "pathspider check --list-rules"),
        ],
        exits: &[Finished.status(), Usage.status(), NoOutput.status(), RuleBroken.status()],
        files: &[],
        environment: &[NO_COLOR],
        see_also: &["pathspider"],
    },
    About {
        command: "doctor",
        examples: &[
            ("See whether this machine can measure", "pathspider doctor"),
            (
                "The same for another interface and 2,000 targets at a time",
                "pathspider doctor -i eth1 -w 2000",
            ),
        ],
        exits: &[Finished.status(), Usage.status(), NoOutput.status(), Unfit.status()],
        files: &[PLUGINS, CACHE, JOURNALS],
        environment: RUN_ENVIRONMENT,
        see_also: &["pathspider", "pathspider-restore"],
    },
    About {
        command: "metadata",
        examples: &[(
            "Name the owner of records",
            "pathspider metadata _owner=me@example.org ecn.ndjson",
        )],
        exits: &[
            Finished.status(),
            Usage.status(),
            NoInput.status(),
            NoOutput.status(),
            FinishedWithErrors.status(),
        ],
        files: &[METADATA],
        environment: &[NO_COLOR],
        see_also: &["pathspider-measure"],
    },
    About {
        command: "schema",
        examples: &[("Keep the schema beside records", "pathspider schema >records.schema.json")],
        exits: &[Finished.status(), NoOutput.status()],
        files: &[],
        environment: &[NO_COLOR],
        see_also: &["pathspider"],
    },
    About {
        command: "restore",
        examples: &[("Undo what killed runs had changed", "pathspider restore")],
        exits: &[Finished.status(), Failed.status(), Usage.status()],
        files: &[JOURNALS],
        environment: &[STATE_DIR, NO_COLOR],
        see_also: &["pathspider-doctor"],
    },
    About {
        command: "help",
        examples: &[
            ("Show a command's options", "pathspider help measure"),
            ("Show all about a plugin", "pathspider help ecn"),
        ],
        exits: &[Finished.status(), Usage.status(), NoPlugin.status()],
        files: &[],
        environment: PLUGINS_ONLY,
        see_also: &["pathspider"],
    },
    About {
        command: "completions",
        examples: &[("Complete in this bash", "source <(pathspider completions bash)")],
        exits: &[Finished.status(), Usage.status(), NoOutput.status()],
        files: &[],
        environment: &[NO_COLOR],
        see_also: &["pathspider"],
    },
];

#[cfg(test)]
mod tests {
    use super::super::beside::is_beside;
    use super::super::parser::parser;
    use super::*;

    #[test]
    fn each_command_has_examples_and_its_statuses() {
        let parser = parser("pathspider");
        let shown = parser.get_subcommands().filter(|command| !command.is_hide_set());
        for name in shown.map(clap::Command::get_name).filter(|name| !is_beside(name)) {
            let about = About::of(name, ABOUTS).unwrap_or_else(|| panic!("nothing about {name}"));
            assert!(!about.examples.is_empty() && !about.exits.is_empty(), "{name}");
        }
    }

    #[test]
    fn each_example_is_understood() {
        for (_, line) in ABOUTS.iter().flat_map(|about| about.examples) {
            let line = line.replace('\'', "");
            let words: Vec<&str> = line.split(['>', '<']).next().unwrap().split(' ').collect();
            let words = words.into_iter().filter(|word| !word.is_empty() && *word != "source");
            if let Err(error) = parser("pathspider").try_get_matches_from(words) {
                panic!("{line}: {error}");
            }
        }
    }
}
