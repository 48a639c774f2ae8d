//! A hashed timing wheel over flows that carry their own links.

use super::place::FlowId;

/// Slots of the wheel. Deadlines lie at most half a turn ahead.
const SLOTS: usize = 1024;

/// A flow's neighbours in its slot.
#[derive(Clone, Copy)]
pub(crate) struct Links {
    previous: Option<FlowId>,
    next: Option<FlowId>,
    /// `OFF` when the flow is on no slot.
    slot: u16,
}

const OFF: u16 = u16::MAX;

impl Default for Links {
    fn default() -> Links {
        Links { previous: None, next: None, slot: OFF }
    }
}

/// Where the links of a flow are.
pub(crate) trait Linked {
    fn links(&mut self, id: FlowId) -> &mut Links;
}

/// Slots of time, each with the flows to be looked at when it is over.
pub(crate) struct Wheel {
    heads: Box<[Option<FlowId>]>,
    /// Nanoseconds a slot.
    granularity: i64,
    /// The tick (time divided by the granularity) of the oldest slot that may hold flows.
    cursor: i64,
    /// The end of that slot; `i64::MIN` before the first insertion.
    turn_ns: i64,
    count: usize,
}

impl Wheel {
    /// A wheel for deadlines up to `span_ns` ahead.
    pub(crate) fn new(span_ns: i64) -> Wheel {
        Wheel {
            heads: vec![None; SLOTS].into_boxed_slice(),
            granularity: (span_ns / (SLOTS as i64 / 2)).max(1_000_000),
            cursor: 0,
            turn_ns: i64::MIN,
            count: 0,
        }
    }

    /// The tick of a time.
    pub(crate) fn tick(&self, time_ns: i64) -> i64 {
        time_ns.div_euclid(self.granularity)
    }

    /// Puts a flow that is on no slot on the one of its deadline; one that is over already, or
    /// too far ahead for the wheel, on the nearest that can be.
    pub(crate) fn insert(&mut self, flows: &mut impl Linked, id: FlowId, due_ns: i64) {
        let tick = self.tick(due_ns);
        if self.count == 0 {
            // Nothing refers to the cursor: it may go anywhere that is not after the deadline.
            self.set_cursor(tick - SLOTS as i64 / 2);
        }
        let tick = tick.clamp(self.cursor, self.cursor + SLOTS as i64 - 1);
        self.link(flows, id, tick);
    }

    fn link(&mut self, flows: &mut impl Linked, id: FlowId, tick: i64) {
        let slot = tick.rem_euclid(SLOTS as i64) as usize;
        let head = self.heads[slot].replace(id);
        if let Some(head) = head {
            flows.links(head).previous = Some(id);
        }
        *flows.links(id) = Links { previous: None, next: head, slot: slot as u16 };
        self.count += 1;
    }

    /// Takes a flow off its slot, if it is on one.
    pub(crate) fn remove(&mut self, flows: &mut impl Linked, id: FlowId) {
        let Links { previous, next, slot } = std::mem::take(flows.links(id));
        if slot == OFF {
            return;
        }
        if let Some(next) = next {
            flows.links(next).previous = previous;
        }
        match previous {
            Some(previous) => flows.links(previous).next = next,
            None => self.heads[usize::from(slot)] = next,
        }
        self.count -= 1;
    }

    /// Whether the oldest slot is over.
    #[inline]
    pub(crate) fn is_due(&self, now_ns: i64) -> bool {
        now_ns >= self.turn_ns && self.count > 0
    }

    /// Takes the next flow off the slots that are over at `now_ns`.
    pub(crate) fn next_due(&mut self, flows: &mut impl Linked, now_ns: i64) -> Option<FlowId> {
        let now = self.tick(now_ns);
        if now - self.cursor > SLOTS as i64 {
            self.leap(flows, now);
        }
        while self.cursor < now && self.count > 0 {
            if let Some(id) = self.pop(flows, self.cursor) {
                return Some(id);
            }
            self.set_cursor(self.cursor + 1);
        }
        None
    }

    /// Follows a clock that leapt by more than a turn: every flow is looked at once, now, rather
    /// than once for every turn of the wheel that did not take place.
    fn leap(&mut self, flows: &mut impl Linked, now: i64) {
        let oldest = std::mem::replace(&mut self.cursor, now - 1);
        for tick in (oldest..oldest + SLOTS as i64).rev() {
            if tick.rem_euclid(SLOTS as i64) == (now - 1).rem_euclid(SLOTS as i64) {
                continue;
            }
            while let Some(id) = self.pop(flows, tick) {
                self.link(flows, id, now - 1);
            }
        }
        self.set_cursor(now - 1);
    }

    /// Takes the flow off the wheel whose slot comes first; with that slot's tick.
    pub(crate) fn first(&mut self, flows: &mut impl Linked) -> Option<(FlowId, i64)> {
        (self.cursor..self.cursor + SLOTS as i64)
            .find_map(|tick| self.pop(flows, tick).map(|id| (id, tick)))
    }

    /// Turns the wheel back to a clock that was set back. Flows stay where they are, so their
    /// turn may come early; whoever takes them looks at their times again.
    pub(crate) fn set_back(&mut self, now_ns: i64) {
        self.set_cursor(self.tick(now_ns));
    }

    fn pop(&mut self, flows: &mut impl Linked, tick: i64) -> Option<FlowId> {
        let id = self.heads[tick.rem_euclid(SLOTS as i64) as usize]?;
        self.remove(flows, id);
        Some(id)
    }

    fn set_cursor(&mut self, tick: i64) {
        self.cursor = tick;
        self.turn_ns = (tick + 1).saturating_mul(self.granularity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Linked for Vec<Links> {
        fn links(&mut self, id: FlowId) -> &mut Links {
            &mut self[id.index()]
        }
    }

    const SECOND: i64 = 1_000_000_000;

    fn wheel(flows: usize) -> (Wheel, Vec<Links>) {
        (Wheel::new(30 * SECOND), vec![Links::default(); flows])
    }

    fn due(wheel: &mut Wheel, flows: &mut Vec<Links>, now: i64) -> Vec<u32> {
        std::iter::from_fn(|| wheel.next_due(flows, now)).map(FlowId::number).collect()
    }

    #[test]
    fn gives_flows_when_their_time_is_over_and_not_before() {
        let (mut wheel, mut flows) = wheel(3);
        let start = 1_500_000_000 * SECOND;
        wheel.insert(&mut flows, FlowId::new(0), start + 30 * SECOND);
        wheel.insert(&mut flows, FlowId::new(1), start + 5 * SECOND);
        wheel.insert(&mut flows, FlowId::new(2), start + 20 * SECOND);
        assert_eq!(due(&mut wheel, &mut flows, start + 4 * SECOND), [0; 0]);
        assert_eq!(due(&mut wheel, &mut flows, start + 6 * SECOND), [1]);
        wheel.remove(&mut flows, FlowId::new(2));
        assert_eq!(due(&mut wheel, &mut flows, start + 29 * SECOND), [0; 0]);
        assert_eq!(due(&mut wheel, &mut flows, start + 31 * SECOND), [0]);
        assert!(!wheel.is_due(i64::MAX));
    }

    #[test]
    fn a_leap_of_centuries_takes_no_longer_than_one_turn() {
        let (mut wheel, mut flows) = wheel(50);
        for id in 0..50 {
            wheel.insert(&mut flows, FlowId::new(id), i64::from(id) * SECOND / 2);
        }
        let now = 290 * 365 * 86_400 * SECOND;
        let mut seen = Vec::new();
        while let Some(id) = wheel.next_due(&mut flows, now) {
            seen.push(id.number());
            if id.number() % 2 == 0 {
                wheel.insert(&mut flows, id, now + SECOND);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
        assert_eq!(due(&mut wheel, &mut flows, now + 3 * SECOND).len(), 25);
    }

    #[test]
    fn a_clock_set_back_loses_no_flow() {
        let (mut wheel, mut flows) = wheel(2);
        wheel.insert(&mut flows, FlowId::new(0), 1000 * SECOND);
        wheel.set_back(10 * SECOND);
        wheel.insert(&mut flows, FlowId::new(1), 20 * SECOND);
        let mut seen = due(&mut wheel, &mut flows, 200 * SECOND);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1]);
    }

    #[test]
    fn the_first_is_the_one_whose_slot_comes_first() {
        let (mut wheel, mut flows) = wheel(3);
        for (id, due) in [(0, 30), (1, 10), (2, 20)] {
            wheel.insert(&mut flows, FlowId::new(id), due * SECOND);
        }
        let order: Vec<u32> =
            std::iter::from_fn(|| wheel.first(&mut flows)).map(|(id, _)| id.number()).collect();
        assert_eq!(order, [1, 2, 0]);
    }
}
