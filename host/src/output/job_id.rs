//! What tells a job's records from all others: `RUN-JOB`, with `rROUND` behind it where targets are
//! measured in rounds, and `.ROW` where the plugin made several records.

use std::fmt;

use pathspider_observer::{JobNumber, Round};

use super::origin::RunNumber;

/// As it is written.
pub(crate) struct JobId {
    pub(crate) run: RunNumber,
    pub(crate) job: JobNumber,
    /// `None` where there are no rounds.
    pub(crate) round: Option<Round>,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.job)?;
        self.round.map_or(Ok(()), |round| write!(f, "r{}", round.number()))
    }
}

/// As it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadJobId<'a> {
    /// That of the job's connections: all but the row.
    pub(crate) base: &'a str,
    /// The job's number in its run.
    pub(crate) number: u64,
    /// Whether it is of one of several records.
    pub(crate) is_row: bool,
}

impl<'a> ReadJobId<'a> {
    /// Takes one apart; `None` where it is none.
    pub(crate) fn parse(id: &'a str) -> Option<ReadJobId<'a>> {
        let dash = id.rfind('-')?;
        let end = id[dash..].find('.').map_or(id.len(), |dot| dash + dot);
        let job = &id[dash + 1..end];
        let number = job.split_once('r').map_or(job, |(number, _)| number).parse().ok()?;
        Some(ReadJobId { base: &id[..end], number, is_row: end < id.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_known_by_its_number_and_not_by_its_rows() {
        for (id, base, number, is_row) in [
            ("18fc037e40bc04d8-12", "18fc037e40bc04d8-12", 12, false),
            ("18fc037e40bc04d8-12.3", "18fc037e40bc04d8-12", 12, true),
            ("18fc037e40bc04d8-12r1", "18fc037e40bc04d8-12r1", 12, false),
            ("18fc037e40bc04d8-12r1.3", "18fc037e40bc04d8-12r1", 12, true),
            ("a.b-c-7", "a.b-c-7", 7, false),
        ] {
            assert_eq!(ReadJobId::parse(id), Some(ReadJobId { base, number, is_row }), "{id}");
        }
        for id in ["", "12", "a-b", "ab-", "ab-x", "ab-.1", "ab-r1"] {
            assert_eq!(ReadJobId::parse(id), None, "{id}");
        }
    }
}
