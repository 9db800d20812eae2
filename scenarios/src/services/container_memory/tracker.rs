//! The tracker: how many bytes are live, for whom, and the most there have been.

/// For whom memory is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Containers: what is known of each, and its names.
    Containers,
    /// The network: interfaces, and buffers of input and output.
    Network,
    /// The configuration.
    Configuration,
}

impl Owner {
    /// All of them.
    pub const ALL: [Owner; 3] = [Owner::Containers, Owner::Network, Owner::Configuration];

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Owner::Containers => "containers",
            Owner::Network => "network",
            Owner::Configuration => "configuration",
        }
    }
}

/// Bytes that are live, and the most that were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Live bytes.
    pub live: usize,
    /// The most live bytes.
    pub peak: usize,
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.live += bytes;
        self.peak = self.peak.max(self.live);
    }
}

/// Counts by owner, and in all. They are numbers, so tracking can't fail; an operation tracks what
/// it has allocated when nothing else can fail, so a failed one changes none of them.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    owners: [Count; 3],
    total: Count,
    allocations: usize,
    deallocations: usize,
}

impl Tracker {
    /// A block was allocated.
    pub fn allocated(&mut self, owner: Owner, bytes: usize) {
        self.owners[owner as usize].add(bytes);
        self.total.add(bytes);
        self.allocations += 1;
    }

    /// A block was freed.
    pub fn freed(&mut self, owner: Owner, bytes: usize) {
        self.owners[owner as usize].live -= bytes;
        self.total.live -= bytes;
        self.deallocations += 1;
    }

    /// The bytes of an owner.
    #[must_use]
    pub fn of(&self, owner: Owner) -> Count {
        self.owners[owner as usize]
    }

    /// All bytes.
    #[must_use]
    pub fn total(&self) -> Count {
        self.total
    }

    /// How many blocks were allocated, and how many were freed.
    #[must_use]
    pub fn calls(&self) -> (usize, usize) {
        (self.allocations, self.deallocations)
    }
}
