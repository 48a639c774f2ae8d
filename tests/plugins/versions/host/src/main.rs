//! A host of a later minor version, which takes one job through a plugin's library: prints its own
//! version, that of the plugin, and what was concluded.

use pathspider_plugin_api::abi::ABI_VERSION;
use pathspider_plugin_api::forge::Packet;
use pathspider_plugin_api::testing::{self, End};
use pathspider_plugin_api::{Error, Job, Record, Result, State};

fn main() -> Result<()> {
    let library = std::env::args().nth(1).ok_or_else(|| Error::new("which library?"))?;
    let plugin = testing::load(library)?;
    let (measurement, chain) = (plugin.measurements()[0], plugin.chains()[0]);
    let object = testing::instantiate(measurement, Record::new())?;
    let target = [192, 0, 2, 1].into();
    let flow = testing::observe(chain, &[Packet::to(target).tcp_syn(80).bytes()?])?;
    let job = Job::new(0, target, 80, Record::new());
    let end = testing::measure(measurement, &object, &job, |_, _| {
        End::seen(State::Ok, flow.clone())
    })?;
    println!("{ABI_VERSION} {} {}", plugin.version(), end.texts().join(" "));
    Ok(())
}
