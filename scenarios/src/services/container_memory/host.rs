//! What a container takes from the host besides memory: an address and a control group.

/// How many addresses there are, and how many control groups.
pub(super) const SLOTS: usize = 250;

/// One thing of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A network address.
    Address(u8),
    /// A control group.
    Group(u8),
}

/// The host's tables of what is in use. They have a fixed size, so that giving back can't fail.
#[derive(Clone, Debug)]
pub struct Host {
    addresses: [bool; SLOTS],
    groups: [bool; SLOTS],
}

impl Default for Host {
    fn default() -> Self {
        Host { addresses: [false; SLOTS], groups: [false; SLOTS] }
    }
}

/// Takes the first free slot.
fn take(slots: &mut [bool; SLOTS]) -> Option<u8> {
    let free = slots.iter().position(|used| !used)?;
    slots[free] = true;
    u8::try_from(free).ok()
}

impl Host {
    /// Takes the lowest free address.
    pub fn address(&mut self) -> Option<Resource> {
        take(&mut self.addresses).map(Resource::Address)
    }

    /// Takes the lowest free control group.
    pub fn group(&mut self) -> Option<Resource> {
        take(&mut self.groups).map(Resource::Group)
    }

    /// Takes a resource back.
    pub fn release(&mut self, resource: Resource) {
        match resource {
            Resource::Address(slot) => self.addresses[usize::from(slot)] = false,
            Resource::Group(slot) => self.groups[usize::from(slot)] = false,
        }
    }

    /// How many addresses and how many control groups are in use.
    #[must_use]
    pub fn in_use(&self) -> [usize; 2] {
        [&self.addresses, &self.groups].map(|slots| slots.iter().filter(|used| **used).count())
    }
}
