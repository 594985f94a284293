//! Token buckets of source prefixes without an allocation, so that a flood of them ends here and not in
//! the server. The map forgets who was not heard of for longest; nothing else depends on it.

use turnpike_abi::{Address, Prefix};

use crate::account::take;
use crate::tables::{STRANGERS, config};

/// Whether a prefix may send one more packet; charges it.
#[inline(always)]
pub fn may_pass(address: Address, now: u64) -> bool {
    let config = config();
    if config.stranger_cost == 0 {
        return true;
    }
    let Prefix(key) = Prefix::of(address);
    if let Some(bucket) = STRANGERS.get_ptr_mut(&key) {
        return take(bucket, config.stranger_cost, config.stranger_full, now);
    }
    // A failure leaves this prefix unknown for one packet more.
    let _ = STRANGERS.insert(&key, now.wrapping_add(config.stranger_cost), 0);
    true
}
