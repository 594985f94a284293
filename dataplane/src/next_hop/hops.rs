//! Ids and what they stand for, counted by who holds them.
//!
//! An id whose last holder goes is free at once; ids are never more than the limit.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{HopId, Mac, NextHop};

/// What one id is for: a neighbour on a device, and the MTU of the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Via {
    /// A VLAN device, or one that frames leave by.
    pub(super) device: u32,
    pub(super) neighbour: IpAddr,
    pub(super) mtu: u32,
}

#[derive(Debug)]
struct Hop {
    via: Via,
    holders: u32,
    mac: Option<Mac>,
    /// The neighbour was heard of lately.
    is_sure: bool,
    resolved: Option<NextHop>,
}

#[derive(Debug)]
pub(super) struct Hops {
    /// The first are no next hops, and stay empty.
    slots: Vec<Option<Hop>>,
    free: Vec<u32>,
    by_via: HashMap<Via, HopId>,
    max: usize,
    /// Where the next questions begin.
    asked_to: usize,
}

impl Hops {
    pub(super) fn new(max: u32) -> Self {
        Self {
            slots: (0..HopId::FIRST).map(|_| None).collect(),
            free: Vec::new(),
            by_via: HashMap::new(),
            max: max as usize,
            asked_to: 0,
        }
    }

    /// The id for a way and whether it is a new one; [`HopId::NONE`] where there is no room.
    pub(super) fn hold(&mut self, via: Via) -> (HopId, bool) {
        if let Some(id) = self.by_via.get(&via).copied() {
            if let Some(hop) = self.get_mut(id) {
                hop.holders += 1;
            }
            return (id, false);
        }
        let Some(slot) = self.free.pop().or_else(|| self.grow()) else {
            return (HopId::NONE, false);
        };
        let hop = Hop {
            via,
            holders: 1,
            mac: None,
            is_sure: false,
            resolved: None,
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(hop);
        }
        self.by_via.insert(via, HopId(slot));
        (HopId(slot), true)
    }

    /// Whether that was the last holder.
    pub(super) fn release(&mut self, id: HopId) -> bool {
        let Some(hop) = self.get_mut(id) else {
            return false;
        };
        hop.holders -= 1;
        if hop.holders > 0 {
            return false;
        }
        let via = hop.via;
        self.by_via.remove(&via);
        if let Some(place) = self.slots.get_mut(id.0 as usize) {
            *place = None;
        }
        self.free.push(id.0);
        true
    }

    fn grow(&mut self) -> Option<u32> {
        if self.slots.len() >= self.max {
            return None;
        }
        self.slots.push(None);
        u32::try_from(self.slots.len() - 1).ok()
    }

    pub(super) fn resolved(&self, id: HopId) -> Option<NextHop> {
        self.get(id)?.resolved
    }

    /// Whether it stood for something else before.
    pub(super) fn set_resolved(&mut self, id: HopId, resolved: Option<NextHop>) -> bool {
        self.get_mut(id).is_some_and(|hop| {
            let is_new = hop.resolved != resolved;
            hop.resolved = resolved;
            is_new
        })
    }

    pub(super) fn forget_resolved(&mut self, id: HopId) {
        if let Some(hop) = self.get_mut(id) {
            hop.resolved = None;
        }
    }

    pub(super) fn neighbour(&self, id: HopId) -> Option<Mac> {
        self.get(id)?.mac
    }

    pub(super) fn set_neighbour(&mut self, id: HopId, mac: Option<Mac>, is_sure: bool) {
        if let Some(hop) = self.get_mut(id) {
            (hop.mac, hop.is_sure) = (mac, is_sure);
        }
    }

    /// The hops of a neighbour: one for each MTU.
    pub(super) fn through(&self, device: u32, neighbour: IpAddr) -> Vec<(HopId, Via)> {
        let all = self.iter().map(|(id, hop)| (id, hop.via));
        all.filter(|(_, via)| via.device == device && via.neighbour == neighbour)
            .collect()
    }

    pub(super) fn vias(&self) -> Vec<(HopId, Via)> {
        self.iter().map(|(id, hop)| (id, hop.via)).collect()
    }

    /// The next few whose neighbour is unknown, or was not heard of lately.
    pub(super) fn doubtful(&mut self, most: usize) -> Vec<Via> {
        let count = self.slots.len();
        let from = self.asked_to % count.max(1);
        let around = (from..count).chain(0..from);
        let mut found = Vec::new();
        for index in around {
            if found.len() == most {
                break;
            }
            self.asked_to = index + 1;
            if let Some(Some(hop)) = self.slots.get(index)
                && (hop.mac.is_none() || !hop.is_sure)
            {
                found.push(hop.via);
            }
        }
        found
    }

    fn iter(&self) -> impl Iterator<Item = (HopId, &Hop)> {
        (0..)
            .map(HopId)
            .zip(&self.slots)
            .filter_map(|(id, hop)| Some((id, hop.as_ref()?)))
    }

    fn get(&self, id: HopId) -> Option<&Hop> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: HopId) -> Option<&mut Hop> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(last: u8) -> Via {
        Via {
            device: 7,
            neighbour: IpAddr::from([192, 0, 2, last]),
            mtu: 1_500,
        }
    }

    #[test]
    fn id_is_shared_and_free_after_its_last_holder() {
        let mut hops = Hops::new(4);
        let (first, is_new) = hops.hold(via(1));
        assert!(is_new && first != HopId::NONE);
        assert_eq!(hops.hold(via(1)), (first, false));
        assert!(!hops.release(first));
        assert!(hops.release(first));
        assert!(!hops.release(first), "nobody holds it");
        assert_eq!(hops.hold(via(2)), (first, true));
    }

    #[test]
    fn ids_are_bounded_and_beyond_is_none() {
        let mut hops = Hops::new(4);
        let (first, second) = (hops.hold(via(1)).0, hops.hold(via(2)).0);
        assert_ne!(first, second);
        assert_eq!(hops.hold(via(3)), (HopId::NONE, false));
        hops.release(second);
        assert_eq!(hops.hold(via(3)), (second, true));
    }

    #[test]
    fn all_doubtful_neighbours_are_asked_for_in_turn() {
        let mut hops = Hops::new(10);
        let ids: Vec<HopId> = (1..=5).map(|last| hops.hold(via(last)).0).collect();
        hops.set_neighbour(ids[2], Some(Mac([2; 6])), true);
        let mut asked: Vec<Via> = (0..2).flat_map(|_| hops.doubtful(2)).collect();
        asked.sort_by_key(|via| via.neighbour);
        assert_eq!(asked, [via(1), via(2), via(4), via(5)]);
    }
}
