//! What of a run's options and plan decides what its records mean.

use crate::engine::Requests;
use crate::job::Rules;
use crate::merger::Ends;
use crate::output::{Labels, Recipe, RecipeOfPlugin, RecipeOfRecords};
use crate::run::RunOptions;
use crate::run::plan::Plan;

/// The recipe of a run. Every option is named here, so that the compiler asks of a new one whether it
/// decides; with `_` it does not.
pub(super) fn of(options: &RunOptions<'_>, plan: &Plan) -> Recipe {
    let RunOptions {
        measurement,
        plugin_options,
        // `contact` is for people.
        requests: Requests { contact: _, body_limit },
        // What is read of a name, which its records say.
        rules:
            Rules {
                resolve,
                both_families: _,
                duplicates,
                courtesy: _,
                max_targets: _,
                shuffle: _,
                rounds,
                shard,
            },
        ends: Ends { public, asn, databases },
        labels: Labels { vantage, tags },
        locating,
        responders,
        more_chains,
        with_flows,
        // The path may be another one, which each run says for itself.
        source: _,
        interface: _,
        // Where plugins and chains come from, which each run says for itself.
        chains: _,
        plugins: _,
        // How fast and how long a run goes, and how it is shown.
        plugin_timeout: _,
        workers: _,
        limits: _,
        max_runtime: _,
        parent: _,
        showing: _,
        answers: _,
        // How well the times in records are known.
        clock: _,
        // How much of a packet is captured: more than the headers that chains read.
        capture: _,
        // What is read and written, which is compared by its contents.
        input: _,
        format: _,
        output: _,
        keep: _,
        save_pcap: _,
    } = options;
    Recipe {
        plugin: RecipeOfPlugin {
            name: measurement.info.name.clone(),
            version: measurement.info.version.clone(),
            options: plugin_options.clone().into_record(),
            configurations: plan.configurations.iter().map(|c| c.label().to_owned()).collect(),
        },
        settings: RecipeOfRecords {
            output_flows: *with_flows,
            duplicates: *duplicates,
            resolve: *resolve,
            source_public: public.clone(),
            source_asn: *asn,
            body_limit: *body_limit,
            repeat: rounds.map(|schedule| schedule.repeat),
            confirm: rounds.map_or(0, |schedule| schedule.confirm),
            shard: *shard,
            vantage: vantage.clone(),
            tags: tags.clone(),
            // What they know may be newer in the next run, which says for itself which they were.
            asn_db: !databases.is_empty(),
            // How many are searched and how fast is no other meaning.
            locate: locating.map(|locating| locating.when.name().to_owned()),
            responders: responders.is_some().then_some(true),
            chains: more_chains.iter().map(ToString::to_string).collect(),
        },
    }
}
