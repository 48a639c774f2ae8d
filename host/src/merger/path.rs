//! The `path` of a record, as PATHspider 2.x writes it: from the source to the target, with the
//! autonomous systems at both ends where they are known, and `*` for what lies between.

use std::net::IpAddr;

use pathspider_plugin_api::{Record, Value, ValueRef};

/// What is known of this end of the paths. It is only ever told: no service is asked for it.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// The addresses that targets see, where a translator stands between: one for each family.
    pub public: Vec<IpAddr>,
    /// The source's autonomous system.
    pub asn: Option<u32>,
}

impl Ends {
    /// The path to `target`, which `job` may say more of.
    pub(super) fn path(&self, source: Option<&str>, target: IpAddr, job: &Record) -> Value {
        let public = self.public.iter().find(|public| public.is_ipv4() == target.is_ipv4());
        let public = public.map(IpAddr::to_string).filter(|public| Some(public.as_str()) != source);
        let system = |number| format!("AS{number}");
        [source.map(str::to_owned), public, self.asn.map(system), Some("*".to_owned())]
            .into_iter()
            .chain([system_of(job).map(system), Some(target.to_string())])
            .flatten()
            .collect()
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
        let path = ends.path(Some("10.0.0.2"), "192.0.2.1".parse().unwrap(), &job);
        serde_json::to_string(&path).unwrap()
    }

    #[test]
    fn what_is_known_stands_in_its_place() {
        assert_eq!(path(&Ends::default(), Record::new()), r#"["10.0.0.2","*","192.0.2.1"]"#);
        let public = ["2001:db8::9", "198.51.100.7"].map(|text| text.parse().unwrap());
        let ends = Ends { public: public.into(), asn: Some(64496) };
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
        let same = Ends { public: vec!["10.0.0.2".parse().unwrap()], asn: None };
        assert_eq!(path(&same, Record::new()), r#"["10.0.0.2","*","192.0.2.1"]"#);
    }
}
