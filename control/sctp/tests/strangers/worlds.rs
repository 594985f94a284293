//! The hostile worlds of the simulation for every pairing of ours and the strangers in this process:
//! who calls whom matters, so there are nine. A world asks for no more than both ends can.

use crate::dcsctp::DCSCTP;
use crate::pair::endpoint::Sort;
use crate::pair::ours::OURS;
use crate::pair::seeds;
use crate::sctp_proto::SCTP_PROTO;

/// The list is fixed; who is on it is met by everybody on it.
const ALL: [Sort; 3] = [OURS, DCSCTP, SCTP_PROTO];

macro_rules! worlds {
    ($($test:ident $sorts:expr;)*) => {
        $(
            #[test]
            fn $test() {
                let totals = seeds::run($sorts, SEEDS);
                assert!(totals.seeds < SEEDS || totals.delivered > 20 * SEEDS, "{totals:?}");
            }
        )*

        #[test]
        fn everybody_on_the_list_meets_everybody() {
            let met = [$($sorts),*].map(|sorts| sorts.map(|sort| sort.name));
            for one in ALL {
                for other in ALL {
                    let pairing = [one.name, other.name];
                    assert!(met.contains(&pairing), "{pairing:?} never meet");
                }
            }
        }
    };
}

worlds! {
    we_and_ourselves [OURS, OURS];
    we_and_dcsctp [OURS, DCSCTP];
    dcsctp_and_we [DCSCTP, OURS];
    we_and_sctp_proto [OURS, SCTP_PROTO];
    sctp_proto_and_we [SCTP_PROTO, OURS];
    dcsctp_and_dcsctp [DCSCTP, DCSCTP];
    dcsctp_and_sctp_proto [DCSCTP, SCTP_PROTO];
    sctp_proto_and_dcsctp [SCTP_PROTO, DCSCTP];
    sctp_proto_and_sctp_proto [SCTP_PROTO, SCTP_PROTO];
}

const SEEDS: u64 = 20;
