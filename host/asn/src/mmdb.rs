//! MaxMind DBs: of each address, the entry's autonomous system and country, by the names that the
//! publishers of such files give them.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use memchr::memmem;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::network::{Country, Network};

/// What begins the metadata, in the last 128 KiB of a file.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
const WITHIN: usize = 128 << 10;

/// Entries among which one must know a system or a country.
const LOOKED_AT: usize = 10_000;

/// Whether a file is a MaxMind DB.
pub(crate) fn is_one(octets: &[u8]) -> bool {
    memmem::rfind(&octets[octets.len().saturating_sub(WITHIN)..], MARKER).is_some()
}

/// A MaxMind DB.
pub(crate) struct Mmdb(Reader<Vec<u8>>);

impl fmt::Debug for Mmdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mmdb").field(&self.name()).finish()
    }
}

impl Mmdb {
    /// Reads one, and looks whether it says anything that is wanted.
    pub(crate) fn read(octets: Vec<u8>) -> Result<Mmdb, String> {
        let damaged = |error: MaxMindDbError| format!("it is damaged ({error})");
        let reader = Reader::from_source(octets).map_err(damaged)?;
        let mut is_wanted = false;
        for network in reader.networks(WithinOptions::default()).map_err(damaged)?.take(LOOKED_AT) {
            let entry = network.and_then(|network| network.decode::<Entry<'_>>());
            let entry = entry.map_err(damaged)?.unwrap_or_default();
            if entry.asn().is_some() || entry.country().is_some() {
                is_wanted = true;
                break;
            }
        }
        if is_wanted {
            Ok(Mmdb(reader))
        } else {
            let kind = &reader.metadata().database_type;
            Err(format!("its entries ({kind:?}) say neither AS nor country"))
        }
    }

    /// What an address's entry says; nothing where it is damaged.
    pub(crate) fn find(&self, address: IpAddr) -> Network {
        let Ok(result) = self.0.lookup(address) else { return Network::default() };
        let Ok(Some(entry)) = result.decode::<Entry<'_>>() else { return Network::default() };
        let asn = entry.asn();
        let network = asn.and_then(|_| result.network().ok());
        let prefix = network.and_then(|net| IpNet::new(net.ip(), net.prefix()).ok());
        Network { asn, prefix, country: entry.country() }
    }

    /// The name that it gives itself.
    pub(crate) fn name(&self) -> &str {
        &self.0.metadata().database_type
    }

    /// When it was made, in seconds since the Unix epoch.
    pub(crate) fn built(&self) -> u64 {
        self.0.metadata().build_epoch
    }
}

/// An entry, as far as it is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry<'a> {
    /// GeoLite2, DB-IP.
    #[serde(borrow)]
    autonomous_system_number: Said<'a>,
    /// IPinfo: `AS64500`.
    #[serde(borrow)]
    asn: Said<'a>,
    /// GeoLite2, DB-IP: an object with `iso_code`. IPinfo: two letters, or a name.
    #[serde(borrow)]
    country: Said<'a>,
    /// IPinfo, ip-location-db.
    #[serde(borrow)]
    country_code: Said<'a>,
}

impl Entry<'_> {
    fn asn(&self) -> Option<u32> {
        [self.autonomous_system_number, self.asn]
            .into_iter()
            .find_map(|said| match said {
                Said::Number(number) => u32::try_from(number).ok(),
                Said::Text(text) => text.trim_start_matches(['A', 'S', 'a', 's']).parse().ok(),
                Said::Nothing => None,
            })
            // Where a file has it, it means that nobody announces the network (RFC 7607).
            .filter(|&asn| asn != 0)
    }

    fn country(&self) -> Option<Country> {
        [self.country_code, self.country].into_iter().find_map(|said| match said {
            Said::Text(text) => Country::new(text),
            _ => None,
        })
    }
}

/// A value of an entry. Of an object, its `iso_code`.
#[derive(Debug, Clone, Copy, Default)]
enum Said<'a> {
    #[default]
    Nothing,
    Number(u64),
    Text(&'a str),
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Said<'a>, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Said<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Said<'de>, E> {
                Ok(Said::Number(number))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Said<'de>, E> {
                Ok(Said::Text(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said<'de>, A::Error> {
                let mut said = Said::Nothing;
                while let Some(key) = map.next_key::<&str>()? {
                    match key {
                        "iso_code" => said = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(said)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said<'de>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Said::Nothing)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Said<'de>, E> {
                Ok(Said::Nothing)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Said<'de>, E> {
                Ok(Said::Nothing)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Said<'de>, E> {
                Ok(Said::Nothing)
            }

            fn visit_bytes<E>(self, _: &[u8]) -> Result<Said<'de>, E> {
                Ok(Said::Nothing)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
