//! Which size is tried next, by what came of those before alone.

use pathspider_plugin_api::Flow;

use crate::chain::pmtud;

/// Octets of the baseline's packet, which every link of IPv6 carries (RFC 8200, section 5).
pub(crate) const SMALL: u16 = 1280;

/// Connections that search at most: enough to find any size between it and 9,000, which jumbo frames have.
pub(crate) const STEPS: usize = 13;

/// What is known of the path so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Search {
    /// The largest packet that was answered.
    passes: Option<u16>,
    /// The smallest that was not.
    fails: Option<u16>,
    /// What the path says that it carries.
    told: Option<u16>,
}

impl Search {
    /// From connections whose packets were seen.
    pub(crate) fn of<'f>(flows: impl Iterator<Item = Flow<'f>>) -> Search {
        flows.filter(|flow| flow.seen()).fold(Search::default(), |mut search, flow| {
            let told = flow.get(pmtud::PTB_MTU).and_then(|mtu| u16::try_from(mtu).ok());
            search.told = search.told.into_iter().chain(told).min();
            if let Some(size) = flow.get(pmtud::SIZE) {
                if flow.has(pmtud::ANSWERED) {
                    search.passes = search.passes.max(Some(size));
                } else {
                    search.fails = search.fails.into_iter().chain([size]).min();
                }
            }
            search
        })
    }

    /// The next size; else why there is none.
    pub(crate) fn next(self) -> Result<u16, &'static str> {
        let Some(passes) = self.passes else { return Err("no size was answered") };
        let Some(fails) = self.fails.filter(|fails| *fails > passes) else {
            return Err("the largest packet was answered");
        };
        match self.told {
            _ if self.found().is_some() => Err("the size was found"),
            Some(told) if (passes + 1..fails).contains(&told) => Ok(told),
            _ => Ok(passes + (fails - passes) / 2),
        }
    }

    /// The largest size that passes, where it is known: the next one fails, or the path said so.
    pub(crate) fn found(self) -> Option<u16> {
        let passes = self.passes?;
        let fails = self.fails?;
        let is_next = fails == passes + 1;
        (is_next || (self.told == Some(passes) && fails > passes)).then_some(passes)
    }
}
