//! A division of the targets among several hosts, by what each target is: so all of them divide any input in
//! the same way, without a word to each other, and a target that comes twice comes to one of them.

use std::net::IpAddr;
use std::str::FromStr;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::place::Place;
use super::seen::plain_name;
use super::target::Target;

/// Hosts at the most.
const MOST: u32 = 100_000;

/// A part of the targets, of this many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, from 1.
    pub number: u32,
    /// How many parts there are.
    pub of: u32,
    /// What decides the division: the same for all of them.
    pub seed: u64,
}

impl Shard {
    /// Whether a target is in this part. Its port does not count, so one host has all ports of an address.
    /// `names`: the measurement takes names.
    pub(super) fn has(&self, target: &Target, names: bool) -> bool {
        let domain = target.record.str("domain").filter(|name| names && !name.is_empty());
        let part = match (domain, &target.place) {
            (Some(name), _) => self.part_of(b"name", plain_name(name).as_bytes()),
            (None, Place::Name(name)) => self.part_of(b"name", plain_name(name).as_bytes()),
            (None, Place::Address(IpAddr::V4(address))) => {
                self.part_of(b"address", &address.octets())
            }
            (None, Place::Address(IpAddr::V6(address))) => {
                self.part_of(b"address", &address.octets())
            }
        };
        part + 1 == self.number
    }

    /// The part of a key, from 0. It is the same in every version of this program.
    fn part_of(&self, kind: &[u8], key: &[u8]) -> u32 {
        let mut context = Context::new(&SHA256);
        for piece in [&self.seed.to_be_bytes(), kind, key] {
            context.update(piece);
        }
        let digest = context.finish();
        let number =
            digest.as_ref().iter().take(8).fold(0, |all, &octet| all << 8 | u64::from(octet));
        // Below `of`, which is a u32.
        (number % u64::from(self.of)) as u32
    }
}

/// `2/5`: the second of five parts.
impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let parts = text.split_once('/').and_then(|(number, of)| {
            Some((number.trim().parse::<u32>().ok()?, of.trim().parse::<u32>().ok()?))
        });
        let Some((number, of)) = parts else {
            return Err("write I/N, such as 2/5 for the second of five parts".to_owned());
        };
        if !(1..=MOST).contains(&of) {
            return Err(format!("there are 1 to {MOST} parts"));
        }
        if (1..=of).contains(&number) {
            Ok(Shard { number, of, seed: 0 })
        } else {
            Err(format!("the parts are numbered from 1 to {of}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape;
    use super::*;

    #[test]
    fn each_target_is_in_one_part_and_parts_are_alike() {
        let targets: Vec<Target> = (0..1000)
            .map(|n| shape::target(&[&format!("192.0.{}.{}", n / 250, n % 250)]).unwrap())
            .collect();
        for seed in [0, 7] {
            let mut sizes = [0; 5];
            for target in &targets {
                let parts =
                    (1..=5).filter(|&number| Shard { number, of: 5, seed }.has(target, false));
                let parts: Vec<u32> = parts.collect();
                assert_eq!(parts.len(), 1);
                sizes[parts[0] as usize - 1] += 1;
            }
            // Of 200 each, with a standard deviation of 13.
            assert!(sizes.iter().all(|size| (140..260).contains(size)), "{sizes:?}");
        }
        let part = |seed| -> Vec<bool> {
            let shard = Shard { number: 1, of: 2, seed };
            targets.iter().take(99).map(|target| shard.has(target, false)).collect()
        };
        assert_ne!(part(0), part(7), "the seed decides");
    }

    #[test]
    fn what_is_one_target_is_in_one_part() {
        let part = |text: &str, names| {
            let target = shape::target(&[text]).unwrap();
            (1..=97).find(|&number| Shard { number, of: 97, seed: 3 }.has(&target, names)).unwrap()
        };
        assert_eq!(part("192.0.2.1", false), part("192.0.2.1:443", false));
        assert_eq!(part("2001:db8::1", false), part("[2001:DB8:0::1]:80", false));
        assert_eq!(part("::ffff:192.0.2.1", false), part("192.0.2.1", false));
        assert_eq!(part("www.example.org", true), part("WWW.example.org.", true));
        assert_eq!(part("münchen.example", false), part("xn--mnchen-3ya.example", false));
    }

    #[test]
    fn parts_are_numbered_from_one() {
        assert_eq!("2/5".parse(), Ok(Shard { number: 2, of: 5, seed: 0 }));
        for (text, word) in [
            ("0/5", "from 1 to 5"),
            ("6/5", "from 1 to 5"),
            ("1/0", "1 to"),
            ("1", "write I/N"),
            ("a/b", "write I/N"),
            ("-1/5", "write I/N"),
            ("1/4294967296", "write I/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
