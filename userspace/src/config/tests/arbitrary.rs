//! Whatever stands in the file, it is read or refused: nothing panics, neither in the parser nor
//! where the refusal is shown.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const ROUNDS: usize = 3_000;

/// What the texts are put together from, beside single bytes.
const PIECES: &[&str] = &[
    "[[listen]]\n",
    "[auth]\n",
    "[tls]\n",
    "[limits]\n",
    "[auth.users]\n",
    "transport",
    "address",
    "secrets",
    "users",
    "realm",
    "ports",
    "lifetime",
    " = ",
    "\n",
    "\"",
    "'''",
    "\"\"\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "#",
    ".",
    "-",
    "\\u",
    "\r",
    "\0",
    "é",
    "🛣",
    "0",
    "1.5",
    "true",
    "\"10m\"",
    "\"udp\"",
    "\"1-2\"",
    "\"::\"",
    "\"0.0.0.0/0\"",
    "99999999999999999999",
];

fn below(generator: &mut ChaCha8Rng, bound: usize) -> usize {
    (generator.next_u64() % bound as u64) as usize
}

/// Read or refused, and the refusal shown.
fn survives(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match Config::parse(&text) {
        Ok(_) => true,
        Err(error) => {
            let shown = error.in_file(Path::new("t.toml")).to_string();
            assert!(shown.starts_with("t.toml:"), "{shown}");
            false
        }
    }
}

#[test]
fn damaged_file_never_panics() {
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let mut bytes = FULL.as_bytes().to_vec();
        for _ in 0..=below(&mut generator, 4) {
            let at = below(&mut generator, bytes.len());
            match below(&mut generator, 3) {
                0 => bytes[at] = generator.next_u64() as u8,
                1 => bytes.truncate(at.max(1)),
                _ => {
                    let piece = PIECES[below(&mut generator, PIECES.len())];
                    bytes.splice(at..at, piece.bytes());
                }
            }
        }
        refused += usize::from(!survives(&bytes));
    }
    assert!(refused > ROUNDS / 2 && refused < ROUNDS, "{refused}");
}

#[test]
fn heap_of_pieces_and_bytes_never_panics() {
    let mut generator = ChaCha8Rng::seed_from_u64(2);
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let mut bytes = Vec::new();
        for _ in 0..below(&mut generator, 24) {
            match below(&mut generator, 4) {
                0 => bytes.push(generator.next_u64() as u8),
                _ => bytes.extend(PIECES[below(&mut generator, PIECES.len())].bytes()),
            }
        }
        refused += usize::from(!survives(&bytes));
    }
    assert!(refused > ROUNDS / 2, "{refused}");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!("realm = {}", "[".repeat(100_000));
    assert!(!survives(deep.as_bytes()));
}
