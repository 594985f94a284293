//! Every committed corpus file through its target, on stable Rust.
//!
//! A file that once broke something is added to the corpus and stays fixed from then on.

#![expect(clippy::panic, reason = "test helpers: a panic is the failure report")]

use std::fs;
use std::path::Path;

use turnpike_fuzz::TARGETS;

/// Runs all files of a target; the name of the file at hand is printed should it panic.
fn replay(name: &str) {
    let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else {
        panic!("no target is called {name}");
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut files = match fs::read_dir(&folder) {
        Ok(entries) => entries
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>(),
        Err(error) => panic!("{}: {error}", folder.display()),
    };
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.sort();
    for file in &files {
        let input = match fs::read(file) {
            Ok(input) => input,
            Err(error) => panic!("{}: {error}", file.display()),
        };
        println!("{}", file.display());
        target(&input);
    }
    println!("{name}: {} files", files.len());
}

macro_rules! replays {
    ($($test:ident $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                replay($name);
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$($name),*];
            assert_eq!(TARGETS.map(|(name, _)| name), replayed);
        }
    };
}

replays! {
    channel_data_corpus_holds "channel_data";
    data_channel_corpus_holds "data_channel";
    forwarder_corpus_holds "forwarder";
    icmp_quote_corpus_holds "icmp_quote";
    sctp_association_corpus_holds "sctp_association";
    sctp_packet_corpus_holds "sctp_packet";
    stream_framing_corpus_holds "stream_framing";
    stun_long_term_corpus_holds "stun_long_term";
    stun_message_corpus_holds "stun_message";
    turn_attributes_corpus_holds "turn_attributes";
    turn_client_corpus_holds "turn_client";
    turn_server_corpus_holds "turn_server";
}

/// A bug that only unlucky bytes find must not hide behind a corpus of lucky ones.
#[test]
fn empty_and_uniform_inputs_hold() {
    for (_, target) in TARGETS {
        for byte in [0x00, 0x01, 0x40, 0x7F, 0x80, 0xFF] {
            for len in [0, 1, 2, 3, 4, 19, 20, 21, 300, 5_000] {
                target(&vec![byte; len]);
            }
        }
    }
}
