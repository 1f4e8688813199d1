//! Places in flight: each holds one batch of probes until the last of them is settled.

#[derive(Debug, Clone)]
pub(crate) struct Batches {
    probes: Vec<u32>,
    vacant: Vec<u32>,
}

impl Batches {
    pub(crate) fn new(places: u32) -> Self {
        Self {
            probes: vec![0; places as usize],
            vacant: (0..places).rev().collect(),
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.vacant.is_empty()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.probes.len() - self.vacant.len()
    }

    /// Takes a place. The caller puts at least one probe there.
    pub(crate) fn open(&mut self) -> u32 {
        self.vacant
            .pop()
            .expect("the caller saw that there is room")
    }

    pub(crate) fn join(&mut self, batch: u32) {
        self.probes[batch as usize] += 1;
    }

    pub(crate) fn settle(&mut self, batch: u32) {
        let probes = &mut self.probes[batch as usize];
        *probes = probes.checked_sub(1).expect("a probe is settled once");
        if *probes == 0 {
            self.vacant.push(batch);
        }
    }
}
