//! Standard output of `turnpike run`, as somewhere that may not listen.
//!
//! A banner that nobody reads any more (`turnpike run | head -1`), or that a full disk does not take,
//! ends no call and makes no failure of an orderly end. It is *not* for commands whose output is
//! what they were asked for.

use std::io::{self, IsTerminal, Write};

/// Where banner, status line and summary go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Console {
    /// Standard output.
    Shown,
    /// Nowhere: a service has its log.
    Quiet,
}

impl Console {
    /// Whether a line can be rewritten where it stands.
    pub(super) fn is_live(self) -> bool {
        self == Self::Shown && io::stdout().is_terminal()
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *self == Self::Shown {
            let _unread = io::stdout().write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _unread = io::stdout().flush();
        Ok(())
    }
}
