//! The pace, with a clock of its own.

use super::*;

/// An address, and `+` for a job that was begun.
impl Paced for &str {
    fn target(&self) -> Option<IpAddr> {
        self.trim_end_matches('+').parse().ok()
    }

    fn is_begun(&self) -> bool {
        self.ends_with('+')
    }
}

const MS: Duration = Duration::from_millis(1);

/// Starts whatever may start, millisecond by millisecond; the milliseconds and what started.
fn run(limits: Limits, items: &[&'static str], millis: u32) -> Vec<(u32, &'static str)> {
    let begun = Instant::now();
    let mut pace: Pace<&'static str> = Pace::new(&limits, 2);
    let mut ready: VecDeque<&str> =
        items.iter().filter_map(|item| pace.enter(item, begun)).collect();
    let mut started = Vec::new();
    for at in 0..millis {
        let now = begun + MS * at;
        while let Some(item) = pace.release(now) {
            ready.push_back(item);
        }
        while pace.wait(now).is_none() {
            let Some(item) = ready.pop_front() else { break };
            pace.start(item, now);
            started.push((at, item));
        }
    }
    assert_eq!(pace.held() + ready.len() + started.len(), items.len(), "none is lost");
    started
}

#[test]
fn the_rate_is_steady() {
    let limits = Limits { rate: Some(400.0), ..Limits::default() };
    let started = run(limits, &["192.0.2.1"; 4000], 3000);
    assert_eq!(started.len(), 1200);
    for window in started.windows(401) {
        assert!(window[400].0 - window[0].0 >= 999, "{:?}", window[0]);
    }
}

#[test]
fn after_a_stall_there_is_no_burst() {
    let begun = Instant::now();
    let mut pace: Pace<&str> = Pace::new(&Limits { rate: Some(1000.0), ..Limits::default() }, 2);
    pace.start("", begun);
    let now = begun + MS * 500;
    let mut burst = 0;
    while pace.wait(now).is_none() {
        pace.start("", now);
        burst += 1;
    }
    assert!((10..=12).contains(&burst), "{burst}");
}

#[test]
fn a_prefix_keeps_its_distance_and_delays_nobody_else() {
    let limits = Limits { prefix_spacing: Some(MS * 100), ..Limits::default() };
    let items =
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "2001:db8::1", "2001:db8:0:9::1"];
    assert_eq!(
        run(limits, &items, 1000),
        [
            (0, "192.0.2.1"),
            (0, "198.51.100.1"),
            (0, "2001:db8::1"),
            (100, "192.0.2.2"),
            (100, "2001:db8:0:9::1"),
            (200, "192.0.2.3"),
        ]
    );
}

#[test]
fn the_distance_counts_from_the_start() {
    let begun = Instant::now();
    let limits = Limits { address_spacing: Some(MS * 10), ..Limits::default() };
    let mut pace: Pace<&str> = Pace::new(&limits, 2);
    assert_eq!(pace.enter("192.0.2.1", begun), Some("192.0.2.1"));
    assert_eq!(pace.enter("192.0.2.1", begun), None);
    // The scheduler had something else to do before.
    assert_eq!((pace.release(begun + MS * 50), pace.next_release()), (None, None));
    pace.start("192.0.2.1", begun + MS * 50);
    assert_eq!(pace.next_release(), Some(begun + MS * 60));
    assert_eq!(pace.release(begun + MS * 59), None);
    assert_eq!(pace.release(begun + MS * 60), Some("192.0.2.1"));
}

#[test]
fn an_address_that_waits_does_not_hold_up_its_prefix() {
    let limits = Limits {
        address_spacing: Some(MS * 1000),
        prefix_spacing: Some(MS * 100),
        ..Limits::default()
    };
    let items = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"];
    assert_eq!(
        run(limits, &items, 2000),
        [(0, "192.0.2.1"), (100, "192.0.2.2"), (200, "192.0.2.3"), (1000, "192.0.2.1")]
    );
}

#[test]
fn nothing_is_remembered_for_longer_than_needed() {
    let begun = Instant::now();
    let limits = Limits { prefix_spacing: Some(MS * 10), ..Limits::default() };
    let mut pace: Pace<&str> = Pace::new(&limits, 2);
    for item in ["192.0.2.1", "198.51.100.1"] {
        assert_eq!(pace.enter(item, begun), Some(item));
        pace.start(item, begun);
    }
    assert_eq!(pace.release(begun + MS * 10), None);
    let prefixes = pace.prefixes.as_ref().unwrap();
    assert!(prefixes.keys.is_empty() && prefixes.due.is_empty());
}

#[test]
fn what_was_begun_goes_first_and_stays() {
    let begun = Instant::now();
    let limits = Limits { prefix_spacing: Some(MS * 10), ..Limits::default() };
    let mut pace: Pace<&str> = Pace::new(&limits, 2);
    for item in ["192.0.2.1", "192.0.2.2", "192.0.2.3+", "192.0.2.4", "192.0.2.5+"] {
        pace.enter(item, begun);
    }
    assert_eq!(pace.held(), 4);
    pace.start("192.0.2.1", begun);
    assert_eq!(pace.release(begun + MS * 10), Some("192.0.2.3+"), "it was begun");
    assert_eq!(pace.drop_unbegun(begun).len(), 2);
    pace.start("192.0.2.3+", begun + MS * 10);
    assert_eq!(pace.release(begun + MS * 20), Some("192.0.2.5+"));
    assert_eq!((pace.held(), pace.next_release()), (0, None));
}

#[test]
fn what_never_starts_holds_nobody_up() {
    let begun = Instant::now();
    let limits = Limits {
        prefix_spacing: Some(MS * 100),
        address_spacing: Some(MS * 10),
        ..Limits::default()
    };
    let mut pace: Pace<&str> = Pace::new(&limits, 2);
    assert_eq!(pace.enter("192.0.2.1", begun), Some("192.0.2.1"));
    // Held for the prefix, and with its own address; the third for that address.
    assert_eq!(pace.enter("192.0.2.2", begun), None);
    assert_eq!(pace.enter("192.0.2.2+", begun), None);
    assert_eq!(pace.drop_unbegun(begun), ["192.0.2.2"]);
    pace.cancelled(&"192.0.2.1", begun);
    assert_eq!(pace.release(begun), Some("192.0.2.2+"));
    assert_eq!((pace.release(begun), pace.held()), (None, 0));
}

#[test]
fn what_was_not_sent_takes_nobody_s_turn() {
    let begun = Instant::now();
    let limits = Limits {
        rate: Some(10.0),
        address_spacing: Some(MS * 1000),
        prefix_spacing: Some(MS * 100),
        ..Limits::default()
    };
    let mut pace: Pace<&str> = Pace::new(&limits, 2);
    assert_eq!(pace.enter("192.0.2.1", begun), Some("192.0.2.1"));
    assert_eq!(pace.enter("192.0.2.2", begun), None);
    pace.start("192.0.2.1", begun);
    assert!(pace.wait(begun).is_some());
    assert_eq!(pace.release(begun + MS * 50), None);
    pace.not_sent(&"192.0.2.1", begun, begun + MS * 50);
    assert_eq!(pace.wait(begun + MS * 50), None, "the rate is another's");
    assert_eq!(pace.release(begun + MS * 50), Some("192.0.2.2"), "and so is the prefix");
    pace.start("192.0.2.2", begun + MS * 50);
    assert_eq!(pace.enter("192.0.2.1", begun + MS * 60), None, "for the prefix alone");
    assert_eq!(pace.release(begun + MS * 149), None);
    assert_eq!(pace.release(begun + MS * 150), Some("192.0.2.1"));
}

#[test]
fn what_was_not_sent_does_not_shorten_the_distance_of_another() {
    let begun = Instant::now();
    let limits = Limits { address_spacing: Some(MS * 10), ..Limits::default() };
    let mut pace: Pace<&str> = Pace::new(&limits, 2);
    for _ in 0..3 {
        pace.enter("192.0.2.1", begun);
    }
    pace.start("192.0.2.1", begun);
    assert_eq!(pace.release(begun + MS * 10), Some("192.0.2.1"));
    pace.start("192.0.2.1", begun + MS * 10);
    pace.not_sent(&"192.0.2.1", begun, begun + MS * 12);
    assert_eq!(pace.release(begun + MS * 19), None);
    assert_eq!(pace.release(begun + MS * 20), Some("192.0.2.1"));
}

#[test]
fn a_turn_that_has_passed_meanwhile_is_waited_for() {
    let begun = Instant::now();
    let turns = "1/2,1/2,0".parse().unwrap();
    let limits = Limits {
        address_spacing: Some(MS * 10),
        prefix_spacing: Some(MS * 100),
        turns: Some(turns),
        ..Limits::default()
    };
    let mut pace: Pace<&str> = Pace::new(&limits, 2);
    let mut now = begun;
    let mut entered = pace.enter("192.0.2.1", now);
    while entered.is_none() {
        now = pace.next_release().unwrap();
        entered = pace.release(now);
    }
    // Its configuration came too late, so no other place is met, and those behind it wait too.
    assert_eq!(pace.enter("192.0.2.2+", now), None);
    assert_eq!(pace.start("192.0.2.1", now + MS * 1100), None);
    assert_eq!(pace.held(), 2);
    let next = pace.next_release().unwrap();
    assert!(next > now + MS * 2000, "{:?}", next - now);
    assert_eq!((pace.release(next - MS), pace.release(next)), (None, Some("192.0.2.1")));
    assert_eq!(pace.start("192.0.2.1", next), Some("192.0.2.1"));
    assert_eq!(pace.release(next + MS * 100), Some("192.0.2.2+"));
    assert_eq!(pace.start("192.0.2.2+", next + MS * 100), Some("192.0.2.2+"));
    // A stop leaves what has not begun, also of what waits for its turn.
    assert_eq!(pace.enter("192.0.2.3", next + MS * 1500), None);
    assert_eq!(pace.drop_unbegun(next + MS * 1500), ["192.0.2.3"]);
    assert_eq!(pace.held(), 0);
}
