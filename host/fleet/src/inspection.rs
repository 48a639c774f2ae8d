//! Whether this machine would take a measurement, and what it would do: the measuring program is asked.

use crate::campaign::{Campaign, Measure};
use crate::exit::Exit;
use crate::forecast::Plan;
use crate::measuring::{self, Here};
use crate::program::{Program, Refusal};

/// What was found wrong.
#[derive(Debug)]
pub(crate) struct Found {
    /// The option of the plugin that is about it.
    pub(crate) option: Option<String>,
    pub(crate) refusal: Refusal,
}

/// What a measurement would do.
///
/// # Errors
///
/// The plugin is not there, is not what the campaign demands, or does not take an option.
pub(crate) fn inspect(
    program: &Program,
    campaign: &Campaign,
    measure: &Measure,
    here: &Here,
) -> Result<Plan, Found> {
    let whole = |refusal: Refusal| Found { option: None, refusal };
    let words = ["--plugin-info", &measure.plugin, "--json"];
    let info = program.ask(words, &[Exit::Finished]).map_err(whole)?;
    let known = option_names(&info.text);
    // An option of the program itself is none of the plugin's: no campaign names files to write.
    let unknown = measure.options.iter().find(|option| !known.contains(&option.name));
    if let Some(option) = unknown {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!(
            "{} is neither a key of campaigns nor an option of the plugin, which has: {known}",
            option.name
        );
        let refusal = Refusal { exit: Exit::Usage, message };
        return Err(Found { option: Some(option.name.clone()), refusal });
    }
    let mut words = measuring::words(campaign, measure, here);
    words.insert(1.min(words.len()), "--dry-run".into());
    let answer = program.ask(words, &[Exit::Finished]).map_err(|refusal| {
        let said = |option: &str| {
            let rest = refusal.message.split(&format!("--{option}")).nth(1);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        };
        let option = measure.options.iter().find(|option| said(&option.name));
        Found { option: option.map(|option| option.name.clone()), refusal }
    })?;
    let plan: Plan = serde_json::from_slice(&answer.text).map_err(|error| {
        let message =
            format!("the answer of `pathspider measure --dry-run` cannot be read: {error}");
        whole(Refusal { exit: Exit::Failed, message })
    })?;
    let demanded = [
        ("version", &measure.version, &plan.plugin.version),
        ("sha256", &measure.sha256, &plan.plugin.sha256),
    ];
    for (key, wanted, found) in demanded {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != found) {
            let message =
                format!("the campaign demands {key} {wanted}, and the plugin has {found}");
            return Err(whole(Refusal { exit: Exit::PluginRefused, message }));
        }
    }
    Ok(plan)
}

/// Looks whether the interface is there that this machine is to measure from. It is asked of any plugin's
/// measurement; where there is no plugin, nothing is known of it.
///
/// # Errors
///
/// The interface is not there, or down.
pub(crate) fn inspect_interface(program: &Program, here: &Here) -> Result<(), Refusal> {
    let Some(interface) = &here.interface else { return Ok(()) };
    let listed = program.ask(["--list-plugins", "--json"], &[Exit::Finished])?;
    let listed: serde_json::Value = serde_json::from_slice(&listed.text).unwrap_or_default();
    let Some(plugin) = listed["plugins"][0]["name"].as_str() else { return Ok(()) };
    let words = ["measure", "--dry-run", "--interface", interface, plugin];
    match program.ask(words, &[Exit::Finished]) {
        Err(refusal) if refusal.exit == Exit::NoInterface => Err(refusal),
        // What else is wrong is said of the campaign that it is wrong for.
        _ => Ok(()),
    }
}

/// The names of a plugin's options, as `--plugin-info` says.
fn option_names(info: &[u8]) -> Vec<String> {
    let info: serde_json::Value = serde_json::from_slice(info).unwrap_or_default();
    let options = info["options"].as_array().into_iter().flatten();
    options.filter_map(|option| option["name"].as_str().map(str::to_owned)).collect()
}
