//! Round-trip time and retransmission timeout of a path (RFC 9260 section 6.3.1).

use core::time::Duration;

use crate::RtoConfig;

/// SRTT, RTTVAR, RTO, and the smallest round trip seen.
#[derive(Clone, Debug)]
pub(crate) struct Rto {
    config: RtoConfig,
    smoothed: Option<Smoothed>,
    min_rtt: Duration,
    /// Doubled by each timeout, until there is a new measurement.
    rto: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Smoothed {
    srtt: Duration,
    rttvar: Duration,
}

impl Rto {
    pub(crate) const fn new(config: RtoConfig) -> Self {
        Self {
            config,
            smoothed: None,
            min_rtt: Duration::MAX,
            rto: config.initial,
        }
    }

    /// Takes a measurement that was not of a retransmission (Karn's rule, C5).
    pub(crate) fn measure(&mut self, rtt: Duration) {
        let smoothed = match self.smoothed {
            None => Smoothed {
                srtt: rtt,
                rttvar: rtt / 2,
            },
            Some(Smoothed { srtt, rttvar }) => Smoothed {
                rttvar: (rttvar * 3 + srtt.abs_diff(rtt)) / 4,
                srtt: (srtt * 7 + rtt) / 8,
            },
        };
        self.smoothed = Some(smoothed);
        self.min_rtt = self.min_rtt.min(rtt);
        self.rto = self.clamp(smoothed.srtt + smoothed.rttvar * 4);
    }

    /// Doubles the timeout (E2).
    pub(crate) fn back_off(&mut self) {
        self.rto = self.clamp(self.rto * 2);
    }

    /// Takes the doublings back, once the peer has shown itself.
    pub(crate) fn forget_back_off(&mut self) {
        if let Some(Smoothed { srtt, rttvar }) = self.smoothed {
            self.rto = self.clamp(srtt + rttvar * 4);
        }
    }

    pub(crate) const fn rto(&self) -> Duration {
        self.rto
    }

    /// The smoothed round trip, once there is a measurement.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| smoothed.srtt)
    }

    /// The smallest round trip, once there is a measurement.
    pub(crate) fn min_rtt(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.min_rtt)
    }

    fn clamp(&self, rto: Duration) -> Duration {
        rto.clamp(self.config.min, self.config.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn rto() -> Rto {
        Rto::new(RtoConfig {
            initial: MS(1000),
            min: MS(100),
            max: MS(5000),
        })
    }

    #[test]
    fn the_first_measurement_gives_three_round_trips() {
        let mut rto = rto();
        assert_eq!((rto.rto(), rto.srtt()), (MS(1000), None));
        rto.measure(MS(100));
        assert_eq!((rto.rto(), rto.srtt()), (MS(300), Some(MS(100))));
    }

    #[test]
    fn steady_round_trips_bring_the_timeout_to_its_floor_and_not_below() {
        let mut rto = rto();
        (0..100).for_each(|_| rto.measure(MS(20)));
        assert_eq!((rto.rto(), rto.min_rtt()), (MS(100), Some(MS(20))));
    }

    #[test]
    fn each_timeout_doubles_up_to_the_ceiling_and_a_measurement_ends_it() {
        let mut rto = rto();
        rto.measure(MS(100));
        rto.back_off();
        assert_eq!(rto.rto(), MS(600));
        (0..100).for_each(|_| rto.back_off());
        assert_eq!(rto.rto(), MS(5000));
        rto.forget_back_off();
        assert_eq!(rto.rto(), MS(300));
    }
}
