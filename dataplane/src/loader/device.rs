//! A network device, as it stands before the programs come.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp};

use super::LoadError;
use crate::netlink::Netlink;

/// How the programs run on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel has made anything of a packet.
    Native,
    /// In the kernel, for a driver that cannot; slower.
    Generic,
}

impl Mode {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// A device that the programs are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// How they run there.
    pub mode: Mode,
}

/// The index of a device that has no program yet.
pub(super) fn free(netlink: &mut Netlink, name: &str, is_named: bool) -> Result<u32, LoadError> {
    let (index, link) = find(netlink, name)?;
    if !is_named && is_veth(&link) {
        return Err(LoadError::Veth(name.to_owned()));
    }
    match attached(&link) {
        Some(id) => Err(LoadError::Foreign {
            device: name.to_owned(),
            program: program(id),
        }),
        None => Ok(index),
    }
}

/// A device by its name.
pub(super) fn find(netlink: &mut Netlink, name: &str) -> Result<(u32, LinkMessage), LoadError> {
    let unknown = || LoadError::UnknownDevice(name.to_owned());
    let index = nix::net::if_::if_nametoindex(name).map_err(|_| unknown())?;
    let mut question = LinkMessage::default();
    question.header.index = index;
    match netlink.answer(RouteNetlinkMessage::GetLink(question), 0) {
        Some(RouteNetlinkMessage::NewLink(link)) => Ok((index, link)),
        _ => Err(unknown()),
    }
}

/// One end of a virtual cable: what it is sent is lost unless the other end has a program too.
pub(super) fn is_veth(link: &LinkMessage) -> bool {
    link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos
            .iter()
            .any(|info| matches!(info, LinkInfo::Kind(InfoKind::Veth))),
        _ => false,
    })
}

/// The longest packet, in bytes.
pub(super) fn mtu(link: &LinkMessage) -> Option<u32> {
    let mut attributes = link.attributes.iter();
    attributes.find_map(|attribute| match attribute {
        LinkAttribute::Mtu(bytes) => Some(*bytes),
        _ => None,
    })
}

/// The id of the program on a device, if there is one.
pub(super) fn attached(link: &LinkMessage) -> Option<u32> {
    let parts = link
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            LinkAttribute::Xdp(parts) => Some(parts),
            _ => None,
        });
    parts.flatten().find_map(|part| match part {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id)
            if *id != 0 =>
        {
            Some(*id)
        }
        _ => None,
    })
}

/// What a program is called: by its name too where we may see that (`CAP_SYS_ADMIN`).
fn program(id: u32) -> String {
    let all = aya::programs::loaded_programs().filter_map(Result::ok);
    let name = all
        .take(PROGRAMS_MAX)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned));
    match name {
        Some(name) => format!("`{name}`, id {id}"),
        None => format!("id {id}"),
    }
}

/// Programs looked through for a name.
const PROGRAMS_MAX: usize = 4_096;
