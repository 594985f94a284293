//! The document names every reason, in order, and what becomes of its packets.

use turnpike_abi::{Fate, Reason};

const DOCUMENT: &str = include_str!("../../../docs/fast-path.md");

#[test]
fn document_lists_every_reason_and_no_other() {
    let (_, list) = DOCUMENT
        .split_once("## Every reason")
        .expect("the document has the list");
    let rows = list.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name, cells.next()?))
    });
    let expected = Reason::ALL.iter().map(|reason| {
        let fate = match reason.fate() {
            Fate::Forwarded => "forwarded",
            Fate::Passed => "passed",
            Fate::Dropped => "dropped",
        };
        (reason.name(), fate)
    });
    assert_eq!(rows.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
