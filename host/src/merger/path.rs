//! The `path` of a record, as PATHspider 2.x writes it: from the source to the target, with the
//! autonomous systems at both ends where they are known, and `*` for what lies between.

use std::net::IpAddr;
use std::sync::Arc;

use pathspider_asn::{Databases, Network};
use pathspider_plugin_api::{Record, Value, ValueRef};
use pathspider_records::names;

/// What is known of this end of the paths, and of networks. It is only ever told: no service is asked
/// for it.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// The addresses that targets see, where a translator stands between: one for each family.
    pub public: Vec<IpAddr>,
    /// The source's autonomous system.
    pub asn: Option<u32>,
    /// Which networks there are.
    pub databases: Arc<Databases>,
}

/// In which networks the ends of a path are, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Networks {
    source: Network,
    target: Network,
}

impl Ends {
    /// Whether there is anything to know networks by.
    pub(super) fn knows_networks(&self) -> bool {
        !self.databases.is_empty()
    }

    /// The networks of source and target: nothing where there are no databases. The source is the
    /// address that targets see.
    pub(super) fn networks(&self, source: Option<&str>, target: IpAddr) -> Networks {
        if !self.knows_networks() {
            return Networks::default();
        }
        let source = self.public(target).or_else(|| source?.parse().ok());
        let source = source.map(|source| self.databases.find(source)).unwrap_or_default();
        let source = Network { asn: self.asn.or(source.asn), ..source };
        Networks { source, target: self.databases.find(target) }
    }

    fn public(&self, target: IpAddr) -> Option<IpAddr> {
        self.public.iter().copied().find(|public| public.is_ipv4() == target.is_ipv4())
    }

    /// The path from `source` to `target`, with what `job` says more of it, with what is known of what lies
    /// between.
    pub(super) fn path(
        &self,
        (source, target): (Option<&str>, IpAddr),
        job: &Record,
        networks: &Networks,
        between: &[Option<IpAddr>],
    ) -> Value {
        let public = self.public(target).map(Value::from);
        let public = public.filter(|public| public.as_str() != source);
        let system = |number| Value::from(format!("AS{number}"));
        let theirs = networks.target.asn.or_else(|| system_of(job));
        let ours = self.asn.or(networks.source.asn);
        let between = if between.is_empty() { &[None] } else { between };
        let hop = |hop: &Option<IpAddr>| hop.map_or_else(|| Value::text("*"), Value::from);
        [source.map(Value::from), public, ours.map(system)]
            .into_iter()
            .chain(between.iter().map(|one| Some(hop(one))))
            .chain([theirs.map(system), Some(target.into())])
            .flatten()
            .collect()
    }
}

impl Networks {
    /// Adds to a record what the databases know.
    pub(super) fn add_to(&self, record: &mut Record) {
        for ([asn, prefix, country], network) in
            names::NETWORKS.into_iter().zip([self.target, self.source])
        {
            if let Some(number) = network.asn {
                record.push(asn, number);
            }
            if let Some(net) = network.prefix {
                record.push(prefix, net.to_string());
            }
            if let Some(two) = network.country {
                record.push(country, two.as_str().to_owned());
            }
        }
    }
}

/// The target's autonomous system, where the job says it: `info.ASN` as in PATHspider's lists,
/// within `info` or with a dot in its name, or `dip_asn`.
fn system_of(job: &Record) -> Option<u32> {
    let info = job.get("info").and_then(Value::as_record).and_then(|info| info.get("ASN"));
    let known = [info, job.get("info.ASN"), job.get("dip_asn")];
    known.into_iter().flatten().find_map(|value| match value.view() {
        ValueRef::Text(text) => {
            let number = text.trim().trim_start_matches(['A', 'S', 'a', 's']);
            number.parse().ok()
        }
        _ => u32::try_from(value.as_u64()?).ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(ends: &Ends, job: Record) -> String {
        let target = "192.0.2.1".parse().unwrap();
        let networks = ends.networks(None, target);
        let path = ends.path((Some("10.0.0.2"), target), &job, &networks, &[]);
        serde_json::to_string(&path).unwrap()
    }

    #[test]
    fn what_is_known_stands_in_its_place() {
        assert_eq!(path(&Ends::default(), Record::new()), r#"["10.0.0.2","*","192.0.2.1"]"#);
        let public = ["2001:db8::9", "198.51.100.7"].map(|text| text.parse().unwrap());
        let ends = Ends { public: public.into(), asn: Some(64496), ..Ends::default() };
        let full = r#"["10.0.0.2","198.51.100.7","AS64496","*","AS64500","192.0.2.1"]"#;
        for job in [
            Record::new().with("info", Record::new().with("ASN", 64500u32)),
            Record::new().with("info.ASN", "AS64500"),
            Record::new().with("dip_asn", "64500"),
            Record::new()
                .with("info", Record::new().with("ASN", Value::NULL))
                .with("dip_asn", 64500u32),
        ] {
            assert_eq!(path(&ends, job), full);
        }
        let same = Ends { public: vec!["10.0.0.2".parse().unwrap()], ..Ends::default() };
        assert_eq!(path(&same, Record::new()), r#"["10.0.0.2","*","192.0.2.1"]"#);
    }

    #[test]
    fn routers_that_were_seen_stand_between() {
        let target = "192.0.2.1".parse().unwrap();
        let (ends, between) = (Ends::default(), [Some("10.0.0.1".parse().unwrap()), None]);
        let networks = ends.networks(None, target);
        let path = ends.path((Some("10.0.0.2"), target), &Record::new(), &networks, &between);
        let path = serde_json::to_string(&path).unwrap();
        assert_eq!(path, r#"["10.0.0.2","10.0.0.1","*","192.0.2.1"]"#);
    }
}
