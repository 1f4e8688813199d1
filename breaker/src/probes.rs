//! Half-open: how many probes may run, and what they prove.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probes {
    /// Admitted and not given back; settled ones included.
    issued: u32,
    successes: u32,
    failures: u32,
    deadline_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
}

impl Probes {
    pub(crate) fn new(deadline_ns: u64) -> Self {
        Self {
            deadline_ns,
            ..Self::default()
        }
    }

    pub(crate) const fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    pub(crate) const fn issued(&self) -> u32 {
        self.issued
    }

    #[cfg(test)]
    pub(crate) const fn results(&self) -> (u32, u32) {
        (self.successes, self.failures)
    }

    /// Takes one of `probes` slots, if there is one.
    pub(crate) const fn issue(&mut self, probes: u32) -> bool {
        let free = self.issued < probes;
        if free {
            self.issued += 1;
        }
        free
    }

    /// The probe proved nothing: another may take its place.
    pub(crate) const fn give_back(&mut self) {
        self.issued -= 1;
    }

    /// Counts a result and decides as soon as it is decided.
    pub(crate) const fn on_result(&mut self, good: bool, rule: Rule) -> Option<Verdict> {
        if good {
            self.successes += 1;
        } else {
            self.failures += 1;
        }
        if self.successes >= rule.successes {
            Some(Verdict::Passed)
        } else if self.failures > rule.probes - rule.successes {
            Some(Verdict::Failed)
        } else {
            None
        }
    }

    /// Time is up: passes if the share of successes is what it would have had to be.
    pub(crate) fn on_deadline(&self, rule: Rule) -> Verdict {
        let results = u64::from(self.successes) + u64::from(self.failures);
        let share = u64::from(self.successes) * u64::from(rule.probes);
        if self.successes > 0 && share >= u64::from(rule.successes) * results {
            Verdict::Passed
        } else {
            Verdict::Failed
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) probes: u32,
    pub(crate) successes: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        probes: 5,
        successes: 2,
    };

    fn after(successes: u32, failures: u32) -> Probes {
        Probes {
            successes,
            failures,
            ..Probes::new(7)
        }
    }

    #[test]
    fn so_many_probes_are_issued_and_those_given_back_again() {
        let mut probes = Probes::new(7);
        for issued in 1..=3 {
            assert!(probes.issue(3));
            assert_eq!(probes.issued(), issued);
        }
        assert!(!probes.issue(3));
        probes.give_back();
        assert!(probes.issue(3) && !probes.issue(3));
        assert_eq!((probes.issued(), probes.deadline_ns()), (3, 7));
    }

    #[test]
    fn results_decide_as_soon_as_they_can() {
        let mut probes = Probes::new(7);
        for good in [false, true, false, false] {
            assert_eq!(probes.on_result(good, RULE), None);
        }
        assert_eq!(probes.on_result(true, RULE), Some(Verdict::Passed));
        assert_eq!(probes.results(), (2, 3));
        assert_eq!(after(1, 3).on_result(false, RULE), Some(Verdict::Failed));
        let all = Rule {
            probes: 2,
            successes: 2,
        };
        assert_eq!(after(1, 0).on_result(false, all), Some(Verdict::Failed));
    }

    #[test]
    fn at_the_deadline_the_share_of_successes_decides() {
        let table = [
            ((0, 0), Verdict::Failed),
            ((0, 1), Verdict::Failed),
            ((1, 0), Verdict::Passed),
            ((1, 1), Verdict::Passed),
            ((1, 2), Verdict::Failed),
            ((1, 3), Verdict::Failed),
        ];
        for ((successes, failures), verdict) in table {
            let probes = after(successes, failures);
            assert_eq!(probes.on_deadline(RULE), verdict, "{probes:?}");
        }
        let three_of_four = Rule {
            probes: 4,
            successes: 3,
        };
        assert_eq!(after(3, 1).on_deadline(three_of_four), Verdict::Passed);
        assert_eq!(after(2, 1).on_deadline(three_of_four), Verdict::Failed);
    }
}
