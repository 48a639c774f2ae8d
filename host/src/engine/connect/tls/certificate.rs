//! What a certificate (RFC 5280) says, for records.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use pathspider_plugin_api::{Record, Value};
use ring::digest::{SHA256, digest};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

/// Names of one certificate that are kept: some have thousands.
const NAMES: usize = 64;

/// Characters of one text that are kept.
const CHARACTERS: usize = 512;

/// A certificate's record. Of one that cannot be read, there is but the fingerprint.
pub(super) fn record(der: &[u8]) -> Record {
    let fingerprint = HEXLOWER.encode(digest(&SHA256, der).as_ref());
    let record = Record::new().with("sha256", fingerprint);
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return record;
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |extension| &extension.value.general_names);
    record
        .with("subject", short(&certificate.subject().to_string()))
        .with("issuer", short(&certificate.issuer().to_string()))
        .with("not_before", time(certificate.validity().not_before))
        .with("not_after", time(certificate.validity().not_after))
        .with("names", names.iter().take(NAMES).map(name).collect::<Value>())
        .with("names_total", names.len())
}

/// A subject alternative name: names and addresses as they are, others with their type.
fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => short(name),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(|a| Ipv4Addr::from(a).to_string());
            let v6 = <[u8; 16]>::try_from(*octets).map(|a| Ipv6Addr::from(a).to_string());
            v4.or(v6).unwrap_or_else(|_| HEXLOWER.encode(octets))
        }
        other => short(&other.to_string()),
    }
}

fn short(text: &str) -> String {
    text.chars().take(CHARACTERS).collect()
}

/// RFC 3339; `None` before 1970 and after 9999, which certificates can say too.
fn time(time: ASN1Time) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = u64::try_from(time.timestamp()).ok().filter(|&seconds| seconds < YEAR_10000)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Some(humantime::format_rfc3339_seconds(time).to_string())
}
