//! Owns `pathspider-lab speed`: how fast the emulator itself is.

use std::time::Duration;

use clap::Args;
use pathspider_lab::Result;
use pathspider_lab::bench::{EmulatorSpeed, emulator_speed};

use super::{Verdict, say};

#[derive(Args)]
pub(super) struct Speed {
    /// Seconds for each of the two measurements
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Speed {
    pub(super) fn run(self) -> Result<Verdict> {
        let speed = emulator_speed(Duration::from_secs(self.seconds))?;
        let EmulatorSpeed { engine, devices, devices_per_core } = speed;
        say(&if self.json {
            format!(
                "{{\"engine\":{engine:.0},\"devices\":{devices:.0},\
                 \"devices_per_core\":{devices_per_core:.0}}}\n"
            )
        } else {
            format!(
                "packets/s through a path with one rule, on one thread\n\
                 engine alone                     {engine:>10.0}\n\
                 between TUN devices              {devices:>10.0}\n\
                 the same, by the thread's time   {devices_per_core:>10.0}\n"
            )
        })?;
        Ok(Verdict::Right)
    }
}
